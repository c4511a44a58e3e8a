"""The vision transformer (Dosovitskiy et al. 2021), as transformers' ViTForImageClassification saves it."""

from bigmodel_jax.hub.layout import Head, attention, dense, norm
from bigmodel_jax.hub.settings import Setting

MODEL, PREFIX = "vit", "vit."
SETTINGS = (
    Setting("image_size", "image_size", 224),
    Setting("patch_size", "patch_size", 16),
    Setting("num_channels", "channels", 3),
    Setting("hidden_size", "width"),
    Setting("intermediate_size", "mlp_dim"),
    Setting("num_hidden_layers", "num_layers"),
    Setting("num_attention_heads", "num_heads"),
    Setting("qkv_bias", "qkv_bias", True),
    Setting("layer_norm_eps", "norm_epsilon", 1e-12),
    Setting("hidden_dropout_prob", "dropout", 0.0),
    Setting("hidden_act", "mlp", "gelu", {"gelu": "gelu", "gelu_new": "gelu_tanh"}),
)
FIXED = {"pooler_act": ("tanh",)}
IGNORED = ("encoder_stride", "pooler_output_size")
OURS = {"pooling": "first"}
_LAYER, _BLOCK = "vit.encoder.layer.{}", "encoder/block_{}"
_SELF = f"{_LAYER}.attention.attention"
_NAMES = f"{_SELF}.query {_SELF}.key {_SELF}.value {_LAYER}.attention.output.dense"
PARAMETERS = (
    ("vit.embeddings.cls_token", "1 1 d -> d", "class_token"),
    ("vit.embeddings.position_embeddings", "1 n d -> n d", "grid_positions/embedding"),
    ("vit.embeddings.patch_embeddings.projection.weight", "o c h w -> h w c o", "patches/kernel"),
    ("vit.embeddings.patch_embeddings.projection.bias", "", "patches/bias"),
    *norm(f"{_LAYER}.layernorm_before", f"{_BLOCK}/attention_norm"),
    *attention(_NAMES, f"{_BLOCK}/attention"),
    *norm(f"{_LAYER}.layernorm_after", f"{_BLOCK}/mlp_norm"),
    *dense(f"{_LAYER}.intermediate.dense", f"{_BLOCK}/mlp/up"),
    *dense(f"{_LAYER}.output.dense", f"{_BLOCK}/mlp/down"),
    *norm("vit.layernorm", "encoder/norm"),
)
HEADS = {
    "ViTForImageClassification": Head(
        {"head": "classify"}, dense("classifier", "classifier"), (r"vit\.pooler\..*",)
    ),
    "ViTModel": Head({"head": "pooled"}, dense("vit.pooler.dense", "pooler")),
}
BUFFERS: tuple[str, ...] = ()
TIES: tuple[tuple[str, str], ...] = ()
