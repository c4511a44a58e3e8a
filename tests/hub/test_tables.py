"""The tables of every architecture, on every published size: by shapes alone, no array exists."""

import importlib
import math

import numpy as np
import pytest

from bigmodel_jax.hub import axes, layout, settings
from bigmodel_jax.hub.published import find_layout, known, our_shapes, rows
from bigmodel_jax.hub.target import find, full

# Which architecture each VARIANT of our models is published as.
SIZES = {
    "gpt": {"gpt2": "gpt2", "llama": "llama", "qwen3": "qwen3"},
    "bert": {"bert": "bert", "roberta": "roberta", "distilbert": "distilbert"},
    "t5": {"t5": "t5", "flan": "t5"},
    "vit": {"vit": "vit"},
    "resnet": {"resnet": "resnet"},
}
MODELS = {name: importlib.import_module(f"bigmodel_jax.models.{name}") for name in SIZES}
CASES = [
    (kind, model, variant)
    for model, module in MODELS.items()
    for variant in module.VARIANTS
    for start, kind in SIZES[model].items()
    if variant.split("-")[0] == start
]


@pytest.mark.parametrize(("kind", "model", "variant"), CASES)
def test_each_array_of_ours_is_one_of_theirs_and_back(kind, model, variant):
    found = find_layout(kind)
    for head in found.HEADS.values():
        spec = {"name": model, **found.OURS, **MODELS[model].VARIANTS[variant], **head.fields}
        if spec.get("head") in ("classify", "tag"):
            spec["num_classes"] = 7
        shapes = our_shapes(spec)
        links = layout.links(rows(found, head, full(spec)), shapes)
        assert sorted(path for link in links for path in link.ours) == sorted(shapes)
        assert len({link.theirs for link in links}) == len(links)
        ours = sum(math.prod(x.shape) for x in shapes.values())
        assert sum(math.prod(link.shape(shapes)) for link in links) == ours


@pytest.mark.parametrize(("kind", "model", "variant"), CASES)
def test_the_settings_of_each_size_are_read_as_they_are_written(kind, model, variant):
    found = find_layout(kind)
    head = next(head for head in found.HEADS.values() if head.whole)
    spec = {"name": model, **found.OURS, **MODELS[model].VARIANTS[variant], **head.fields}
    spec = {**spec, "num_classes": 7} if "classify" in head.fields.values() else spec
    target = find(spec, kind)
    assert target.name == kind
    given = {**target.settings, "model_type": kind}
    read = settings.read(given, found.SETTINGS, found.FIXED, found.IGNORED, "config.json")
    if hasattr(found, "read_more"):
        names = () if full(spec).get("tied", True) else ("lm_head.weight",)
        read |= found.read_more(given, "config.json", names)
    wanted = full(spec)
    if model == "t5":  # None is written as what it means
        wanted["num_decoder_layers"] = wanted["num_decoder_layers"] or wanted["num_layers"]
    if model == "gpt":
        wanted["num_groups"] = wanted["num_groups"] or wanted["num_heads"]
        wanted["head_dim"] = wanted["head_dim"] or wanted["width"] // wanted["num_heads"]
    assert read == {field: wanted[field] for field in read}


def test_every_architecture_has_a_size_or_shares_one():
    assert set(known()) - {kind for kind, *_ in CASES} == {"qwen2"}  # Qwen 2's rows are Llama's


LINES = [
    ("", (3, 4)),
    ("o i -> i o", (3, 4)),
    ("(h d) i -> i h d", (3, 4, 5)),
    ("o (h d) -> h d o", (3, 4, 5)),
    ("(h d) -> h d", (3, 4)),
    ("i (3 h d) -> i h d", (3, 4, 5)),
    ("(3 h d) -> h d", (3, 4)),
    ("o c h w -> h w c o", (2, 3, 4, 5)),
    ("1 n d -> n d", (3, 4)),
]


@pytest.mark.parametrize(("line", "shape"), LINES)
def test_axes_are_turned_there_and_back(line, shape):
    count = 3 if "3" in line else 1
    rng = np.random.default_rng(0)
    ours = [rng.normal(size=shape) for _ in range(count)]
    theirs = axes.to_theirs(line, ours)
    assert theirs.shape == axes.shape(line, shape)
    for part, want in enumerate(ours):
        got = axes.to_ours(line, theirs, shape, part)
        assert np.shares_memory(got, theirs)
        np.testing.assert_array_equal(got, want)


def test_an_axis_of_heads_is_taken_apart_as_torch_does_it():
    theirs = np.arange(24.0).reshape(6, 4)  # a Linear from 4 to 2 heads of 3
    x = np.array([1.0, -2.0, 0.5, 3.0])
    ours = axes.to_ours("(h d) i -> i h d", theirs, (4, 2, 3))
    np.testing.assert_array_equal(np.einsum("i,ihd->hd", x, ours).reshape(-1), theirs @ x)
