"""Residual networks (He et al. 2015), as transformers' ResNetForImageClassification saves them.

The running statistics of their batch norms are in the same files as the parameters.
"""

from collections.abc import Collection, Mapping
from typing import Any

from bigmodel_jax.errors import UserError
from bigmodel_jax.hub.layout import Head, Row, batch_norm, dense
from bigmodel_jax.hub.settings import Setting

MODEL, PREFIX = "resnet", "resnet."
_KINDS = {"basic": "basic", "bottleneck": "bottleneck"}
SETTINGS = (
    Setting("embedding_size", "width", 64),
    Setting("depths", "depths", [3, 4, 6, 3]),
    Setting("layer_type", "block", "bottleneck", _KINDS),
)
FIXED = {
    "num_channels": (3,),
    "hidden_act": ("relu",),
    "downsample_in_first_stage": (False,),
    "downsample_in_bottleneck": (False,),
}
IGNORED = ("hidden_sizes", "stage_names", "out_features", "out_indices")  # the first by read_more
OURS = {"stem": "imagenet", "norm": "batch"}
_STEM = "resnet.embedder.embedder"
PARAMETERS = (
    (f"{_STEM}.convolution.weight", "o i h w -> h w i o", "stem/conv/kernel"),
    *batch_norm(f"{_STEM}.normalization", "stem/norm"),
)
HEADS = {
    "ResNetForImageClassification": Head({"head": "classify"}, dense("classifier.1", "classifier")),
    "ResNetModel": Head({"head": "pooled"}),
}
BUFFERS = (r".*\.num_batches_tracked",)
TIES: tuple[tuple[str, str], ...] = ()


def more_rows(spec: Mapping[str, Any]) -> tuple[Row, ...]:
    """The blocks', which we number through all stages."""
    rows: list[Row] = []
    places = [(stage, i) for stage, depth in enumerate(spec["depths"]) for i in range(depth)]
    for number, (stage, i) in enumerate(places):
        theirs, ours = f"resnet.encoder.stages.{stage}.layers.{i}", f"block_{number}"
        pairs = {f"layer.{k}": (f"conv_{k}", f"norm_{k}") for k in range(3)}
        pairs["shortcut"] = ("shortcut_conv", "shortcut_norm")
        for name, (conv, norm) in pairs.items():
            kernel = f"{theirs}.{name}.convolution.weight"
            rows.append((kernel, "o i h w -> h w i o", f"{ours}/{conv}/kernel"))
            rows += batch_norm(f"{theirs}.{name}.normalization", f"{ours}/{norm}")
    return tuple(rows)


def read_more(given: Mapping[str, Any], where: str, names: Collection[str]) -> dict[str, Any]:
    """No field, but a check: our stages double their width, from the stem's on."""
    sizes = given.get("hidden_sizes", [256, 512, 1024, 2048])
    spec = {setting.ours: given.get(setting.theirs, setting.default) for setting in SETTINGS}
    if sizes != _sizes(spec):
        raise UserError(
            f"{where}: hidden_sizes are {sizes}, but our model of these depths has {_sizes(spec)} only."
        )
    return {}


def write_more(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The widths of the stages."""
    sizes = _sizes(spec)
    names = [f"stage{i + 1}" for i in range(len(sizes))]
    last = {"out_features": names[-1:], "out_indices": [len(sizes)]}
    return {"hidden_sizes": sizes, "stage_names": ["stem", *names], **last}


def _sizes(spec):
    first = spec["width"] * (4 if spec["block"] == "bottleneck" else 1)
    return [first * 2**i for i in range(len(spec["depths"]))]
