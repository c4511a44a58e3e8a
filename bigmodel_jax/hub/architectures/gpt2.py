"""GPT-2 (Radford et al. 2019), as transformers' GPT2LMHeadModel saves it."""

from bigmodel_jax.hub.layout import Head, norm
from bigmodel_jax.hub.settings import Setting

MODEL, PREFIX = "gpt", "transformer."
SETTINGS = (
    Setting("vocab_size", "vocabulary_size"),
    Setting("n_positions", "max_length", 1024),
    Setting("n_embd", "width"),
    Setting("n_layer", "num_layers"),
    Setting("n_head", "num_heads"),
    Setting("n_inner", "mlp_dim", None),
    Setting("layer_norm_epsilon", "norm_epsilon", 1e-5),
    Setting("resid_pdrop", "dropout", 0.1),
    Setting("activation_function", "mlp", "gelu_new", {"gelu_new": "gelu_tanh", "gelu": "gelu"}),
)
FIXED = {
    "add_cross_attention": (False,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "tie_word_embeddings": (True,),
}
IGNORED = (
    "reorder_and_upcast_attn",
    *(
        f"summary_{x}"
        for x in ("activation", "first_dropout", "proj_to_labels", "type", "use_proj")
    ),
)
OURS = {"positions": "learned", "norm": "layer", "bias": True, "tied": True}

_LAYER, _BLOCK = "transformer.h.{}", "decoder/block_{}"
_HEADS = tuple(f"{_BLOCK}/attention/{name}" for name in ("query", "key", "value"))


def _conv(theirs, ours, line="", bias=""):  # a matrix that is not turned round
    return (f"{theirs}.weight", line, f"{ours}/kernel"), (f"{theirs}.bias", bias, f"{ours}/bias")


PARAMETERS = (
    ("transformer.wte.weight", "", "embed/embedding"),
    ("transformer.wpe.weight", "", "positions/embedding"),
    *norm(f"{_LAYER}.ln_1", f"{_BLOCK}/attention_norm"),
    (f"{_LAYER}.attn.c_attn.weight", "i (3 h d) -> i h d", tuple(f"{x}/kernel" for x in _HEADS)),
    (f"{_LAYER}.attn.c_attn.bias", "(3 h d) -> h d", tuple(f"{x}/bias" for x in _HEADS)),
    *_conv(f"{_LAYER}.attn.c_proj", f"{_BLOCK}/attention/out", "(h d) o -> h d o"),
    *norm(f"{_LAYER}.ln_2", f"{_BLOCK}/mlp_norm"),
    *_conv(f"{_LAYER}.mlp.c_fc", f"{_BLOCK}/mlp/up"),
    *_conv(f"{_LAYER}.mlp.c_proj", f"{_BLOCK}/mlp/down"),
    *norm("transformer.ln_f", "decoder/norm"),
)
HEADS = {"GPT2LMHeadModel": Head({"head": "lm"}), "GPT2Model": Head({"head": "lm"}, whole=False)}
BUFFERS = (r"transformer\.h\.\d+\.attn\.(masked_)?bias",)  # masks that older versions saved
TIES = (("lm_head.weight", "transformer.wte.weight"),)
