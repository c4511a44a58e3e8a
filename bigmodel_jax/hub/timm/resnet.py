"""timm's ResNet with the plain stem, resnet50 and its like; torchvision has the same names."""

from collections.abc import Mapping
from typing import Any

from bigmodel_jax.hub.architectures.resnet import (
    BUFFERS,
    FIXED,
    IGNORED,
    MODEL,
    OURS,
    SETTINGS,
    TIES,
    read_more,
)
from bigmodel_jax.hub.layout import Head, Row, batch_norm, dense

__all__ = ["BUFFERS", "FIXED", "IGNORED", "MODEL", "OURS", "SETTINGS", "TIES", "read_more"]

PREFIX = ""
KERNEL = "o i h w -> h w i o"
PARAMETERS = (("conv1.weight", KERNEL, "stem/conv/kernel"), *batch_norm("bn1", "stem/norm"))
HEADS = {"ResNetForImageClassification": Head({"head": "classify"}, dense("fc", "classifier"))}
NEEDED = ("fc.weight", "conv1.weight", "layer1.0.conv2.weight")


def more_rows(spec: Mapping[str, Any]) -> tuple[Row, ...]:
    """The blocks', which we number through all stages."""
    rows: list[Row] = []
    places = [(stage, i) for stage, depth in enumerate(spec["depths"]) for i in range(depth)]
    for number, (stage, i) in enumerate(places):
        theirs, ours = f"layer{stage + 1}.{i}", f"block_{number}"
        names = [(f"conv{k + 1}", f"bn{k + 1}", f"conv_{k}", f"norm_{k}") for k in range(3)]
        names.append(("downsample.0", "downsample.1", "shortcut_conv", "shortcut_norm"))
        for their_conv, their_norm, conv, norm in names:
            rows.append((f"{theirs}.{their_conv}.weight", KERNEL, f"{ours}/{conv}/kernel"))
            rows += batch_norm(f"{theirs}.{their_norm}", f"{ours}/{norm}")
    return tuple(rows)


def settings(
    given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], where: str
) -> dict[str, Any]:
    """What transformers' config.json says, all of it from the shapes."""
    del given, where
    stages = sorted({name.split(".")[0] for name in shapes if name.startswith("layer")})
    depths = [
        sum(name.startswith(f"{stage}.") and name.endswith(".conv1.weight") for name in shapes)
        for stage in stages
    ]
    last = "conv3" if "layer1.0.conv3.weight" in shapes else "conv2"
    return {
        "embedding_size": shapes["conv1.weight"][0],
        "hidden_sizes": [shapes[f"{stage}.0.{last}.weight"][0] for stage in stages],
        "depths": depths,
        "layer_type": "bottleneck" if last == "conv3" else "basic",
    }
