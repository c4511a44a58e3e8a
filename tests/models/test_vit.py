"""vit beyond its published form: attention weights, fixed positions, skipped halves."""

import functools
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.explanations.maps import make_grad_cam
from bigmodel_jax.layers import stack_layers
from bigmodel_jax.models import vit
from bigmodel_jax.nn.positions import sinusoids_of_grid
from bigmodel_jax.tasks import classify

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)


def build(**changes):
    """A model, and parameters large enough that attention prefers something."""
    model = vit.Model(**{"num_classes": 5, **vit.VARIANTS["tiny"], **changes})
    variables = nn.unbox(jax.jit(model.init)(jax.random.key(0), IMAGES))
    return model, jax.tree.map(
        lambda x: x + 0.3 * np.sin(np.arange(x.size)).reshape(x.shape), variables
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """(a transformer of `transformers`, ours with its parameters, those)."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from bigmodel_jax import sharding
    from bigmodel_jax.hub import published
    from bigmodel_jax.hub.loading import load

    config = transformers.ViTConfig(
        image_size=8, patch_size=4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=20, initializer_range=0.5, attn_implementation="eager",
    )  # fmt: skip
    peer = transformers.ViTForImageClassification(config).eval()
    folder = tmp_path_factory.mktemp("vit")
    peer.save_pretrained(folder)
    found, mesh = published.read(folder), sharding.make_mesh({"data": 1}, jax.devices()[:1])
    with sharding.use(mesh):
        variables = load(found, published.abstract(found.model, mesh))
    fields = {k: v for k, v in found.model.items() if k != "name"}
    return peer, fields, variables


def test_attention_weights_are_those_of_transformers_and_of_scanned_layers(published):
    import torch

    peer, fields, variables = published
    got = vit.Model(**fields).attention_weights(variables, IMAGES)
    seen = peer(torch.tensor(IMAGES).permute(0, 3, 1, 2), output_attentions=True).attentions
    want = torch.stack(seen).detach().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    scanned = {"params": stack_layers(variables["params"])}
    again = vit.Model(**fields, scan=True).attention_weights(scanned, IMAGES)
    np.testing.assert_array_equal(again, got)


def test_grad_cam_is_that_of_torchs_gradients_of_what_the_last_block_gets(published):
    import torch

    peer, fields, variables = published
    out = peer(torch.tensor(IMAGES).permute(0, 3, 1, 2), output_hidden_states=True)
    last = out.hidden_states[-2]
    (slopes,) = torch.autograd.grad(out.logits[:, 1].sum(), last)
    weights = slopes[:, 1:].mean(1, keepdim=True)  # over the patches, without the class token
    want = (weights * last[:, 1:]).sum(-1).relu().reshape(3, 2, 2).detach().numpy()
    grad_cam = jax.jit(make_grad_cam(classify.Task(vit.Model(**fields))))
    got = grad_cam(variables, {"image": 255 * IMAGES}, 1)
    assert want.max() > 0.1
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_fixed_positions_are_sinusoids_of_column_and_row_and_no_parameters():
    table = sinusoids_of_grid(2, 3, 8).reshape(2, 3, 8)
    for row, column in np.ndindex(2, 3):
        want = [f(p * w) for p in (column, row) for f in (np.sin, np.cos) for w in (1, 0.01)]
        np.testing.assert_allclose(table[row, column], want, rtol=1e-6)
    model, variables = build(positions="sincos", pooling="mean")
    assert not [p for p in trees.flatten(variables) if "positions" in p or "class_token" in p]
    apply = jax.jit(model.apply, static_argnames="method")
    moved = np.roll(IMAGES, 4, axis=2)  # other patches at the same places
    assert np.abs(apply(variables, moved) - apply(variables, IMAGES)).max() > 1e-3
    assert apply(variables, IMAGES, method="features").shape == (3, 16)
    with pytest.raises(UserError, match="width of 18 does not divide by 4"):
        sinusoids_of_grid(2, 2, 18)


@pytest.mark.parametrize("scan", [False, True])
def test_an_example_skips_the_last_layer_and_only_in_training(scan):
    model, variables = build(drop_path=0.9999, scan=scan, pooling="mean")
    none, _ = build(scan=scan, pooling="mean")
    apply = functools.partial(jax.jit(model.apply, static_argnames="train"), variables, IMAGES)
    np.testing.assert_array_equal(apply(), jax.jit(none.apply)(variables, IMAGES))
    got = apply(train=True, rngs={"dropout": jax.random.key(1)})
    params = variables["params"]
    if scan:
        first = jax.tree.map(lambda x: x[:1], params["encoder"]["blocks"])
        encoder = {"blocks": first, "norm": params["encoder"]["norm"]}
    else:
        encoder = {k: v for k, v in params["encoder"].items() if k != "block_1"}
    short, _ = build(num_layers=1, scan=scan, pooling="mean")
    want = jax.jit(short.apply)({"params": {**params, "encoder": encoder}}, IMAGES)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
