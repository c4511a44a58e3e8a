"""Transforms of whole batches: every pixel comes from where it should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import config, losses
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
