"""Mixes each image with another of the batch: mixup (Zhang et al. 2018), CutMix (Yun et al. 2019)."""

import jax
import jax.numpy as jnp

from bigmodel_jax.errors import UserError


class Transform:
    """Of "image" [batch, height, width, channels] and "label".

    A label that is a class stays; the other image's is added as "other_label", and the share that the
    first has of the mixed image as "share" [batch] float32: losses are linear in them. Labels that are
    numbers are mixed themselves. An image whose partner is padding stays as it is.

    Args:
        mixup: alpha of Beta(alpha, alpha), from which the share is drawn; 0 is never.
        cutmix: the same of CutMix, where a rectangle of the other image covers the first; of both,
            each image gets one, with equal chances.
    """

    def __init__(self, mixup: float = 0.0, cutmix: float = 0.0):
        if mixup < 0 or cutmix < 0 or mixup == cutmix == 0:
            raise UserError(f"mix takes mixup and cutmix, but they are {mixup} and {cutmix}.")
        self.mixup, self.cutmix = mixup, cutmix

    def __call__(self, batch, rng):
        image, label = batch["image"].astype(jnp.float32), batch["label"]
        keys = jax.random.split(rng, 4)
        other, count = image[::-1], (len(image),)
        both = batch["valid"] & batch["valid"][::-1]
        cut = jax.random.bernoulli(keys[0], 0.5, count) if self.mixup and self.cutmix else None
        cut = jnp.full(count, self.cutmix > 0) if cut is None else cut
        blended = share = jnp.ones(count)
        if self.mixup:
            blended = jax.random.beta(keys[1], self.mixup, self.mixup, count)
            share = blended
        covered = jnp.zeros(image.shape[:3], bool)
        if self.cutmix:
            wanted = jax.random.beta(keys[2], self.cutmix, self.cutmix, count)
            covered = _rectangles(keys[3], wanted, *image.shape[1:3])
            share = jnp.where(cut, 1 - covered.mean((1, 2)), share)
        share = jnp.where(both, share, 1.0)
        weight = jnp.where(cut[:, None, None], ~covered, blended[:, None, None])
        weight = jnp.where(both[:, None, None], weight, 1.0)[..., None]
        mixed = {"image": weight * image + (1 - weight) * other}
        if jnp.issubdtype(label.dtype, jnp.integer):
            mixed |= {"other_label": label[::-1], "share": share}
        else:
            part = share.reshape(-1, *[1] * (label.ndim - 1))
            mixed |= {"label": part * label + (1 - part) * label[::-1]}
        return {**batch, **mixed}


def _rectangles(rng, share, height, width):
    """Rectangles of 1 - share of the area, cut off at the edges; bool [batch, height, width]."""
    middle = jax.random.uniform(rng, (len(share), 2))
    side = jnp.sqrt(1 - share)
    inside = []
    for axis, length in enumerate((height, width)):
        half = side * length / 2
        start = jnp.round(middle[:, axis] * length - half)[:, None]
        stop = jnp.round(middle[:, axis] * length + half)[:, None]
        place = jnp.arange(length)
        inside.append((place >= start) & (place < stop))
    return inside[0][:, :, None] & inside[1][:, None, :]
