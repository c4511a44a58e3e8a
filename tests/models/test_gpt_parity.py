"""gpt against `transformers`: the same weights give the same logits and gradients, in float32."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.models import gpt
from tests.models.published import LENGTH, LINEAR, LLAMA3, ROPE, VOCABULARY, YARN, Mapped, compare

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH)).astype(np.int32)
LLAMA_STYLE = {"positions": "rope", "norm": "rms", "mlp": "swiglu", "bias": False, "tied": False}
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "attention_dropout": 0.0,
    "attn_implementation": "eager",
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
OURS = {"width": 24, "mlp_dim": 20, "num_layers": 2, "num_heads": 6, "num_groups": 2}


def scaled(rope):
    """Our fields of their rope_parameters."""
    numbers = {k: v for k, v in rope.items() if k != "rope_theta"}
    return {"rope_theta": rope["rope_theta"], "rope_scaling": numbers}


# Of each model: family of the table of weights, their config, what differs in it, our fields.
MODELS = {
    "gpt2": (
        "gpt2",
        "GPT2Config",
        {
            "vocab_size": VOCABULARY,
            "n_embd": 24,
            "n_layer": 2,
            "n_head": 3,
            "n_positions": 16,
            "attn_implementation": "eager",
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
        },
        {"width": 24, "num_layers": 2, "num_heads": 3, "max_length": 16},
    ),
    "llama": ("llama", "LlamaConfig", {**COMMON, "rope_parameters": ROPE}, OURS | LLAMA_STYLE),
    "llama, three heads, one group": (
        "llama",
        "LlamaConfig",
        {**COMMON, "num_attention_heads": 3, "num_key_value_heads": 1, "rope_parameters": ROPE},
        OURS | LLAMA_STYLE | {"num_heads": 3, "num_groups": 1},
    ),
    **{
        f"llama, {rope['rope_type']} positions": (
            "llama",
            "LlamaConfig",
            {**COMMON, "head_dim": 16, "rope_parameters": rope},
            {**OURS, **LLAMA_STYLE, "head_dim": 16, **scaled(rope)},
        )
        for rope in (LLAMA3, LINEAR, YARN)
    },
    "qwen2": (
        "llama",
        "Qwen2Config",
        {**COMMON, "rope_parameters": ROPE},
        OURS | LLAMA_STYLE | {"qkv_bias": True},
    ),
    "qwen3": (
        "llama",
        "Qwen3Config",
        {**COMMON, "head_dim": 8, "tie_word_embeddings": True, "rope_parameters": ROPE},
        OURS | LLAMA_STYLE | {"head_dim": 8, "qk_norm": True, "tied": True},
    ),
    "mistral": (
        "llama",
        "MistralConfig",
        {**COMMON, "sliding_window": 4, "head_dim": 4, "rope_parameters": ROPE},
        OURS | LLAMA_STYLE | {"window": 4},
    ),
    "gemma2": (
        "gemma2",
        "Gemma2Config",
        {
            **COMMON,
            "head_dim": 8,
            "sliding_window": 4,
            "query_pre_attn_scalar": 10,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "tie_word_embeddings": True,
            "pad_token_id": None,  # a row that torch would give no gradient
            "rope_parameters": ROPE,
        },
        OURS
        | LLAMA_STYLE
        | {
            "head_dim": 8,
            "window": (4, None),
            "scale": 10**-0.5,
            "softcap": 2.0,
            "logit_softcap": 3.0,
            "mlp": "geglu",
            "out_norms": True,
            "embed_scale": True,
            "tied": True,
        },
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_every_gradient_are_those_of_transformers(name):
    family, config, theirs, fields = MODELS[name]
    config = getattr(transformers, config)(**theirs)
    peer = transformers.AutoModelForCausalLM.from_config(config).eval()
    model = gpt.Model(VOCABULARY, **fields)
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS))["params"]
    mapped = Mapped(peer, shapes, family)
    assert sum(p.numel() for p in peer.parameters()) == sum(x.size for x in jax.tree.leaves(shapes))

    weights = np.random.default_rng(1).normal(size=(*TOKENS.shape, VOCABULARY)).astype(np.float32)
    compare(
        mapped,
        lambda params: model.apply({"params": params}, jnp.asarray(TOKENS)),
        lambda: peer(torch.tensor(TOKENS, dtype=torch.long)).logits,
        weights,
    )
