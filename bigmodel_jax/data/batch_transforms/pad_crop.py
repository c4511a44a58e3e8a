"""Shifts images by a few pixels: a margin is put around, and a random part cut out."""

import jax
import jax.numpy as jnp

from bigmodel_jax.errors import UserError, nearest

MODES = {"reflect": "reflect", "zeros": "constant"}


class Transform:
    """Of "image" [batch, height, width, channels].

    Args:
        pad: the margin, in pixels.
        mode: what it holds: "reflect", the image mirrored at its edge; or "zeros".
    """

    def __init__(self, pad: int, mode: str = "reflect"):
        if mode not in MODES:
            raise UserError(f"pad_crop knows no mode={mode!r}.{nearest(mode, MODES)}")
        self.pad, self.mode = pad, MODES[mode]

    def __call__(self, batch, rng):
        image, pad = batch["image"], self.pad
        padded = jnp.pad(image, ((0, 0), (pad, pad), (pad, pad), (0, 0)), self.mode)
        corner = jax.random.randint(rng, (len(image), 2), 0, 2 * pad + 1)

        def cut(image, corner):
            return jax.lax.dynamic_slice(image, (*corner, 0), batch["image"].shape[1:])

        return {**batch, "image": jax.vmap(cut)(padded, corner)}
