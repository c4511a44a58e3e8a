"""The contestants of a benchmark do the same work: from the same parameters, the same losses."""

import importlib
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from bigmodel_jax import trees

FOLDER = Path(__file__).parent.parent / "benchmarks"
# Smaller ones: our fields, and PyTorch's.
SIZES = {
    "lstm": ({"width": 6, "hidden": 5}, {"width": 6, "hidden": 5}),
    "bilstm": ({"width": 6, "hidden": 5}, {"width": 6, "hidden": 5}),
    "textcnn": ({"width": 6, "features": 5}, {"width": 6, "features": 5}),
    "transformer": ({"width": 8, "num_heads": 2}, {"width": 8, "num_heads": 2}),
}


@pytest.fixture
def text_models(monkeypatch):
    """The benchmark as a module, with short texts of few words."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("text_models")
    monkeypatch.setattr(module, "BATCH", 4)
    monkeypatch.setattr(module, "LENGTH", 9)
    small = {}
    for name, (ours, theirs, steps) in module.MODELS.items():
        ours = {**ours, **SIZES[name][0], "vocabulary_size": 20}
        theirs = {**theirs, **SIZES[name][1], "vocabulary": 20}
        for fields, key, value in (
            (theirs, "length", 9),
            (ours, "dropout", 0),
            (theirs, "dropout", 0),
        ):
            if key in fields:
                fields[key] = value
        small[name] = ours, theirs, steps
    monkeypatch.setattr(module, "MODELS", small)
    yield module
    for name in ("text_models", "text_models_torch"):
        sys.modules.pop(name, None)


def in_torch(params):
    """Our parameters, {path: array}, under PyTorch's names and in its layouts."""
    found = {}
    for path, x in params.items():
        x = np.asarray(x)
        *parents, name = path.split("/")
        if parents[:1] == ["lstm"]:
            suffix = "_l0_reverse" if parents[1:] == ["backward"] else "_l0"
            kind = {"input_kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih"}
            found[f"lstm.{kind[name]}{suffix}"] = x.T
            if name == "bias":  # PyTorch has two, which add up
                found[f"lstm.bias_hh{suffix}"] = np.zeros_like(x)
        elif not parents:
            kind, size = name.split("_")
            if kind == "kernel":
                x = x.reshape(int(size), -1, x.shape[-1]).transpose(2, 1, 0)
            found[f"convolutions.{int(size) - 3}.{'weight' if kind == 'kernel' else 'bias'}"] = x
        elif parents[0] == "encoder":
            found |= encoder_in_torch(parents[1:], name, x)
        else:
            kind = "bias" if name == "bias" else "weight"
            found[f"{parents[0]}.{kind}"] = x if name == "embedding" else x.T
    for layer in {k.split(".q.")[0] for k in found if ".q." in k}:
        for kind in ("weight", "bias"):
            parts = [found.pop(f"{layer}.{part}.{kind}") for part in "qkv"]
            found[f"{layer}.in_proj_{kind}"] = np.concatenate(parts)
    return found


def encoder_in_torch(parents, name, x):
    """One parameter of nn/transformer.py:Stack."""
    kind = "bias" if name == "bias" else "weight"
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


@pytest.mark.parametrize("model", SIZES)
def test_both_sides_of_a_text_model_take_the_same_steps(model, text_models):
    import torch

    ours = text_models.make(model, "ours", "float32")
    theirs = text_models.make(model, "torch eager", "float32")
    params = trees.flatten(jax.device_get(ours.state[0]["params"]))
    state = {k: torch.tensor(np.array(v)) for k, v in in_torch(params).items()}
    wanted = {k for k, _ in theirs.forward.named_parameters()}
    assert state.keys() == wanted
    theirs.forward.load_state_dict(state, strict=False)  # positions are no parameter
    second_biases = sum(x.numel() for k, x in state.items() if ".bias_hh" in k)
    assert ours.parameters == theirs.parameters - second_biases
    assert ours.run(1) == pytest.approx(theirs.run(1), rel=1e-5)
    if second_biases:  # they move too, so that PyTorch's bias moves twice as far
        return
    for steps in (1, 3):
        assert ours.run(steps) == pytest.approx(theirs.run(steps), rel=1e-4)


def test_every_setting_of_a_contest_has_a_row(text_models):
    contest = text_models.contest
    keys = {(o, "tuned") for _, o, *_ in contest.SETTINGS}
    medians = {("ours", *key): 10.0 for key in keys}
    for _, _, theirs, allocator in contest.SETTINGS:
        medians |= {(peer, theirs, allocator): 15.0 for peer in contest.PEERS}
    table = contest.rows("lstm", medians)
    assert len(table) == len(contest.SETTINGS) * len(contest.PEERS)
    assert {row["ratio"] for row in table} == {1.5}
