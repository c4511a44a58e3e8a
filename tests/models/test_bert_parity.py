"""bert against `transformers`: the same weights give the same logits and gradients, in float32."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax.models import bert
from tests.models.published import LENGTH, VOCABULARY, Mapped, compare

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PADDING = 1  # RoBERTa counts positions by it
MASK = np.arange(LENGTH) < np.array([LENGTH, 4])[:, None]
TOKENS = np.random.default_rng(0).integers(2, VOCABULARY, MASK.shape)
TOKENS = np.where(MASK, TOKENS, PADDING).astype(np.int32)
TYPES = (np.arange(LENGTH) > 2).astype(np.int32) * MASK

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "num_labels": 4,
    "attn_implementation": "eager",
}
OURS = {"width": 24, "num_layers": 2, "num_heads": 3, "mlp_dim": 20, "num_classes": 4}
FAMILIES = {
    "bert": (
        "Bert",
        {**SIZES, "max_position_embeddings": 16},
        {**OURS, "max_length": 16},
    ),
    "roberta": (
        "Roberta",
        {
            **SIZES,
            "max_position_embeddings": 18,
            "type_vocab_size": 1,
            "pad_token_id": PADDING,
            "layer_norm_eps": 1e-5,
        },
        {
            **OURS,
            "max_length": 16,
            "num_types": 1,
            "position_offset": 2,
            "norm_epsilon": 1e-5,
        },
    ),
}
HEADS = {
    "lm": "ForMaskedLM",
    "classify": "ForSequenceClassification",
    "tag": "ForTokenClassification",
    "span": "ForQuestionAnswering",
}


def logits_of(output):
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], -1)
    return output.logits


@pytest.mark.parametrize(
    "family, head",
    [
        ("bert", "lm"),
        ("bert", "classify"),
        ("bert", "tag"),
        ("bert", "span"),
        ("roberta", "lm"),
        ("roberta", "classify"),
    ],
)
def test_logits_and_every_gradient_are_those_of_transformers(family, head):
    prefix, theirs, fields = FAMILIES[family]
    labels = {"num_labels": 2} if head == "span" else {}
    config = getattr(transformers, f"{prefix}Config")(**{**theirs, **labels})
    peer = getattr(transformers, f"{prefix}{HEADS[head]}")(config).eval()
    model = bert.Model(VOCABULARY, head=head, **fields)
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS, MASK))["params"]
    mapped = Mapped(peer, shapes, "bert span" if head == "span" else family)
    assert sum(p.numel() for p in peer.parameters()) == sum(x.size for x in jax.tree.leaves(shapes))

    types = TYPES if family == "bert" else None
    classes = {"lm": VOCABULARY, "span": 2}.get(head, 4)
    shape = (2, 4) if head == "classify" else (*TOKENS.shape, classes)
    weights = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    if head != "classify":
        weights *= MASK[..., None]
    given = {
        "input_ids": torch.tensor(TOKENS, dtype=torch.long),
        "attention_mask": torch.tensor(MASK),
    }
    if types is not None:
        given["token_type_ids"] = torch.tensor(types, dtype=torch.long)
    compare(
        mapped,
        lambda params: model.apply({"params": params}, TOKENS, MASK, types=types),
        lambda: logits_of(peer(**given)),
        weights,
    )
