"""The contestants of benchmarks/image_models.py do the same work: from the same parameters, one loss."""

import importlib
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from bigmodel_jax import trees

FOLDER = Path(__file__).parent.parent / "benchmarks"
VIT = {"image_size": 8, "patch_size": 4, "width": 8, "num_heads": 2, "num_layers": 1}
# Smaller ones: our fields, PyTorch's, the images' size.
SIZES = {
    "resnet18": ({"name": "resnet", "stem": "cifar", "width": 4}, {"width": 4}, 8, 1),
    "vit-ti4": ({"name": "vit", **VIT}, VIT, 8, 1),
}


@pytest.fixture
def image_models(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("image_models")
    monkeypatch.setattr(module, "BATCH", 10)
    monkeypatch.setattr(module, "MODELS", SIZES)
    yield module
    for name in ("image_models", "image_models_torch"):
        sys.modules.pop(name, None)


def in_torch(params):
    """Our parameters, {path: array}, under PyTorch's names and in its layouts."""
    found = {}
    for path, x in params.items():
        *parts, name = path.split("/")
        x = np.asarray(x, np.float32)
        kind = "bias" if name == "bias" else "weight"
        if x.ndim == 4 and name == "kernel":
            x = x.transpose(3, 2, 0, 1)
        if path in ("class_token", "grid_positions/embedding"):
            rows = {"class_token": "token"}.get(path, "positions")
            found[rows] = x.reshape(1, -1, x.shape[-1])
        elif parts[0] == "encoder":
            found |= encoder_in_torch(parts[1:], kind, name, x)
        elif parts[0].startswith("block_"):
            part = {"shortcut_conv": "shortcut.0", "shortcut_norm": "shortcut.1"}
            number = parts[0].removeprefix("block_")
            found[f"blocks.{number}.{part.get(parts[1], parts[1])}.{kind}"] = x
        else:
            whole = {"classifier": "head", "stem": parts[-1]}.get(parts[0], parts[0])
            found[f"{whole}.{kind}"] = x.T if x.ndim == 2 else x
    for layer in {k.split(".q.")[0] for k in found if ".q." in k}:
        for kind in ("weight", "bias"):
            parts = [found.pop(f"{layer}.{part}.{kind}") for part in "qkv"]
            found[f"{layer}.in_proj_{kind}"] = np.concatenate(parts)
    return found


def encoder_in_torch(parents, kind, name, x):
    """One parameter of nn/transformer.py:Stack."""
    if parents == ["norm"]:
        return {f"encoder.norm.{kind}": x}
    layer = f"encoder.layers.{parents[0].removeprefix('block_')}"
    part = {"attention_norm": "norm1", "mlp_norm": "norm2", "up": "linear1", "down": "linear2"}
    if parents[-1] in part:
        return {f"{layer}.{part[parents[-1]]}.{kind}": x.T}
    if parents[-1] == "out":
        x = x.reshape(-1, x.shape[-1]).T if name == "kernel" else x
        return {f"{layer}.self_attn.out_proj.{kind}": x}
    x = x.reshape(x.shape[0], -1).T if name == "kernel" else x.reshape(-1)
    return {f"{layer}.self_attn.{parents[-1][0]}.{kind}": x}


@pytest.mark.slow
@pytest.mark.parametrize("model", SIZES)
def test_both_sides_of_an_image_model_take_the_same_steps(model, image_models):
    import torch

    ours = image_models.make(model, "ours", "float32")
    theirs = image_models.make(model, "torch eager", "float32")
    params = trees.flatten(jax.device_get(ours.state[0]))
    state = {k: torch.tensor(np.array(v)) for k, v in in_torch(params).items()}
    assert state.keys() == {k for k, _ in theirs.forward.named_parameters()}
    theirs.forward.load_state_dict(state, strict=False)  # statistics are no parameters
    assert ours.parameters == theirs.parameters
    for steps in (1, 3):
        assert ours.run(steps) == pytest.approx(theirs.run(steps), rel=1e-3)
