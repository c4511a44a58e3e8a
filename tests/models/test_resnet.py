"""resnet beyond what transformers has: pre-activation against torch, statistics, devices, depth."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax import sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import resnet

IMAGES = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype(np.float32)
TINY = {"num_classes": 5, **resnet.VARIANTS["tiny"]}


def build(**changes):
    """A model, and variables none of which is a special case."""
    model = resnet.Model(**{**TINY, **changes})
    variables = nn.unbox(jax.jit(model.init)(jax.random.key(0), IMAGES))
    rng = np.random.default_rng(1)

    def noisy(x):
        return x + 0.2 * np.abs(rng.normal(size=x.shape)).astype(np.float32)

    return model, jax.tree.map(noisy, variables)


def apply(model, variables, images=IMAGES, **options):
    """model.apply, compiled as a whole: its operations one by one take a second each to compile."""
    static = {k: v for k, v in options.items() if k != "mask"}
    given = {k: v for k, v in options.items() if k == "mask"}
    return jax.jit(functools.partial(model.apply, **static))(variables, images, **given)


def test_preactivation_is_that_of_a_network_written_in_torch_in_training_and_after_it():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    model, variables = build(preactivation=True, width_factor=2)
    params = {k: torch.tensor(x) for k, x in trees.flatten(variables["params"]).items()}
    stats = {k: torch.tensor(x) for k, x in trees.flatten(variables["batch_stats"]).items()}

    def conv(x, name, stride=1):
        kernel = params[f"{name}/kernel"].permute(3, 2, 0, 1)
        return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def norm(x, name, train):
        moments = stats[f"{name}/mean"], stats[f"{name}/var"]
        affine = params[f"{name}/scale"], params[f"{name}/bias"]
        return functional.relu(functional.batch_norm(x, *moments, *affine, train, 0.1))

    def network(train):
        x = conv(torch.tensor(IMAGES).permute(0, 3, 1, 2), "stem/conv")
        for name, stride in (("block_0", 1), ("block_1", 2)):
            y = norm(x, f"{name}/norm_0", train)
            shortcut = conv(y, f"{name}/shortcut_conv", stride)
            y = conv(y, f"{name}/conv_0", stride)
            x = shortcut + conv(norm(y, f"{name}/norm_1", train), f"{name}/conv_1")
        x = norm(x, "norm", train).mean((2, 3))
        return x @ params["classifier/kernel"] + params["classifier/bias"]

    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(apply(model, variables), network(train=False))
    logits, new = apply(model, variables, train=True, mutable=["batch_stats"])
    close(logits, network(train=True))  # which moves its statistics
    for path, x in trees.flatten(new["batch_stats"]).items():
        close(x, stats[path])


def test_padded_rows_change_neither_the_logits_of_others_nor_the_statistics():
    model, variables = build()
    options = {"train": True, "mutable": ["batch_stats"]}
    logits, new = apply(model, variables, mask=np.arange(8) < 6, **options)
    short, want = apply(model, variables, IMAGES[:6], **options)
    np.testing.assert_allclose(logits[:6], short, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), new, want)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [{"data": -1}, {"fsdp": 2, "tensor": 4}])
def test_devices_agree_with_one(mesh):
    model, variables = build(block="bottleneck")
    step = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    want = step(variables, IMAGES)
    made = sharding.make_mesh(mesh)
    with sharding.use(made):
        got = step(variables, sharding.put(IMAGES, made))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), got, want)


@pytest.mark.parametrize("preactivation", [False, True])
def test_each_block_begins_as_its_shortcut(preactivation):
    fields = {**TINY, "depths": (2,), "preactivation": preactivation}
    model = resnet.Model(**fields)
    variables = nn.unbox(jax.jit(model.init)(jax.random.key(0), IMAGES))
    kept = dict(variables["params"])
    stem = {"stem": kept["stem"]} | ({"norm": kept["norm"]} if preactivation else {})
    alone = resnet.Model(**{**fields, "depths": ()})
    stats = {k: v for k, v in variables["batch_stats"].items() if not k.startswith("block")}
    want = apply(alone, {"params": stem, "batch_stats": stats}, method="feature_map")
    got = apply(model, variables, method="feature_map")
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_logits_follow_from_the_last_map_and_from_the_features():
    model, variables = build(norm="group", groups=4)
    logits, last = apply(model, variables), apply(model, variables, method="feature_map")
    assert last.shape == (8, 4, 4, 16) and set(variables) == {"params"}
    again = apply(model, variables, last, method="from_feature_map")
    np.testing.assert_allclose(again, logits, rtol=1e-5)
    features = apply(model, variables, method="features")
    head = variables["params"]["classifier"]
    np.testing.assert_allclose(features @ head["kernel"] + head["bias"], logits, rtol=1e-5)


def test_a_misspelt_field_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="model.stem is 'imagnet'. Did you mean 'imagenet'"):
        build(stem="imagnet")
