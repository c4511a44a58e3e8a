"""Transforms of whole batches: every pixel comes from where it should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import affine_transform

from bigmodel_jax import config, losses
from bigmodel_jax.data.batch_transforms.turn import turn
from bigmodel_jax.tasks.classify import Task

COUNT, SIZE = 64, 8


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8),
        "label": rng.integers(0, 5, COUNT).astype(np.int32),
        "valid": np.arange(COUNT) > 0,  # the first is padding, and so no partner of the last
    }


def applied(batch, **spec):
    transform = config.build("data.batch_transforms", spec)
    return jax.tree.map(np.asarray, jax.jit(transform)(batch, jax.random.key(1)))


def test_an_image_is_mirrored_or_not(batch):
    found = applied(batch, name="flip")["image"]
    mirrored = (found == batch["image"][:, :, ::-1]).all((1, 2, 3))
    assert (mirrored | (found == batch["image"]).all((1, 2, 3))).all()
    assert 16 < mirrored.sum() < 48


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_an_image_is_shifted_by_at_most_the_margin(mode, batch):
    found = applied(batch, name="pad_crop", pad=2, mode=mode)["image"]
    how = {"reflect": "reflect", "zeros": "constant"}[mode]
    padded = np.pad(batch["image"], ((0, 0), (2, 2), (2, 2), (0, 0)), how)
    places = {}
    for top in range(5):
        for left in range(5):
            same = found == padded[:, top : top + SIZE, left : left + SIZE]
            places[top, left] = same.all((1, 2, 3))
    assert (sum(places.values()) == 1).all()
    assert sum(same.any() for same in places.values()) > 15  # of 25 places


def test_a_square_is_covered(batch):
    found = applied(batch, name="cutout", size=4, fill=7)["image"]
    changed = (found != batch["image"]).any(-1)
    assert (found[changed] == 7).all()
    areas = {int(a) for a in (found == 7).all(-1).sum((1, 2))}
    assert max(areas) == 16 and min(areas) >= 4


def test_mixup_mixes_pixels_as_it_mixes_labels(batch):
    found = applied(batch, name="mix", mixup=1.0)
    share = found["share"][:, None, None, None]
    expected = share * batch["image"] + (1 - share) * batch["image"][::-1]
    np.testing.assert_allclose(found["image"], expected, atol=1e-3)
    np.testing.assert_array_equal(found["other_label"], batch["label"][::-1])
    assert found["share"][0] == found["share"][-1] == 1.0  # the partner is padding
    assert 0.3 < found["share"][1:-1].mean() < 0.7


def test_cutmix_shares_are_areas(batch):
    found = applied(batch, name="mix", cutmix=1.0)
    own = (found["image"] == batch["image"]).all(-1)
    other = (found["image"] == batch["image"][::-1]).all(-1)
    assert (own | other).all()
    np.testing.assert_allclose(own.mean((1, 2)), found["share"], atol=2e-2)


def test_of_both_each_image_gets_one(batch):
    found = applied(batch, name="mix", mixup=1.0, cutmix=1.0)
    cut = ((found["image"] == batch["image"]) | (found["image"] == batch["image"][::-1])).all(
        (1, 2, 3)
    )
    assert 16 < cut.sum() < 48


def test_the_loss_of_mixed_images_is_that_of_the_mixed_label(batch):
    logits = jax.random.normal(jax.random.key(0), (COUNT, 5))

    class Fixed(Task):
        def apply(self, variables, batch, rng, *, train):
            return logits, {}

    mixed = applied(batch, name="mix", mixup=1.0)
    value, _ = Fixed(None, label_smoothing=0.1).loss({}, mixed, jax.random.key(0), train=True)
    one, two = (jax.nn.one_hot(mixed[k], 5) for k in ("label", "other_label"))
    soft = mixed["share"][:, None] * one + (1 - mixed["share"][:, None]) * two
    soft = 0.9 * soft + 0.1 / 5
    expected = -(soft * jax.nn.log_softmax(logits)).sum(-1)
    assert jnp.allclose(value.total, (expected * batch["valid"]).sum(), rtol=1e-5)
    assert losses.softmax_cross_entropy(logits, mixed["label"], 0.1).shape == (COUNT,)


@pytest.mark.parametrize("degrees, size", [(0, 1.0), (20, 0.8), (-35, 1.25)])
def test_an_image_is_turned_as_scipy_turns_it(degrees, size, batch):
    image, angle = batch["image"][0].astype(np.float32), np.deg2rad(degrees)
    found = np.asarray(turn(jnp.asarray(image), jnp.float32(angle), jnp.float32(size)))
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / size
    middle = np.full(2, (SIZE - 1) / 2)
    how = dict(offset=middle - back @ middle, order=1, mode="grid-constant")
    expected = np.stack([affine_transform(x, back, **how) for x in image.transpose(2, 0, 1)], -1)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_images_are_turned_counterclockwise_each_by_its_own_angle(batch):
    quarter = turn(jnp.asarray(batch["image"][0], jnp.float32), jnp.float32(np.pi / 2), 1.0)
    np.testing.assert_allclose(np.asarray(quarter), np.rot90(batch["image"][0]), atol=0.05)
    alike = {**batch, "image": np.repeat(batch["image"][:1], COUNT, 0)}
    found = applied(alike, name="turn", degrees=30.0, zoom=0.1)["image"]
    assert len(np.unique(found.reshape(COUNT, -1), axis=0)) == COUNT
