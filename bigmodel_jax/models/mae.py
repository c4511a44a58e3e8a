"""A masked autoencoder: a vision transformer that sees a quarter of an image and paints the rest.

He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners". Its encoder has the names of
models/vit.py, so that a classifier starts from it with config.init_from and
drop=("decoder.*", "mask_token", "pixels/.*"), fresh=("classifier/.*",).
"""

from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import vit
from bigmodel_jax.nn.linear import Dense
from bigmodel_jax.nn.positions import sinusoids_of_grid


class Model(vit.Model):
    """From images and what is hidden of them to the pixels of every patch.

    Parameters: those of models/vit.py without a head; decoder_embed; mask_token `[decoder_width]`;
    decoder (nn/transformer.py:Stack); pixels.

    Attributes:
        mask_ratio: the share of patches that is hidden.
        decoder_width, decoder_layers, decoder_heads: of the decoder, whose MLPs are four times as
            wide. Its positions are always those of a grid, "sincos".
    """

    head: Literal["pixels"] = "pixels"
    positions: Literal["learned", "sincos"] = "sincos"
    mask_ratio: float = 0.75
    decoder_width: int = 512
    decoder_layers: int = 8
    decoder_heads: int = 16

    HEADS: ClassVar[tuple[str, ...]] = ("pixels",)

    def setup(self):
        super().setup()
        if not 0 < self.visible < self.num_patches:
            raise UserError(
                f"model.mask_ratio={self.mask_ratio} leaves {self.visible} of {self.num_patches} "
                "patches: some must be seen, and some not."
            )
        init = nn.initializers.normal(0.02)
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        width, axes = self.decoder_width, (None, "embed")
        self.decoder_embed = Dense(width, axes=axes, kernel_init=init, **dtypes)
        token = sharding.axes(init, "embed")
        self.mask_token = self.param("mask_token", token, (width,), self.param_dtype)
        self.decoder = self.stack(self.decoder_layers, self.decoder_heads, 4 * width)
        values = self.patch_size**2 * self.channels
        fields: dict[str, Any] = {"kernel_init": init, "out_dtype": jnp.float32, **dtypes}
        self.pixels = Dense(values, axes=("embed", None), **fields)

    @property
    def visible(self) -> int:
        """How many patches are seen."""
        return int(self.num_patches * (1 - self.mask_ratio))

    def __call__(
        self, image: jax.Array, noise: jax.Array, *, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """(what each patch may be, which were hidden).

        Args:
            image: `[batch, image_size, image_size, channels]`, floats.
            noise: `[batch, num_patches]`: the patches with the smallest numbers are seen.

        Returns:
            `[batch, num_patches, patch_size ** 2 * channels]` float32, to be compared with `targets`;
            and `[batch, num_patches]` bool, True = hidden.
        """
        order = jnp.argsort(noise, 1)
        place = jnp.argsort(order, 1)  # of each patch in that order
        x = self.embed(image)
        x = jnp.take_along_axis(x, order[:, : self.visible, None], 1)
        x = self.decoder_embed(self.encode(x, train=train))
        first = int(self.pooling == "first")
        token, x = x[:, :first], x[:, first:]
        shape = (x.shape[0], self.num_patches - self.visible, self.decoder_width)
        hidden = jnp.broadcast_to(self.mask_token.astype(x.dtype), shape)
        x = jnp.take_along_axis(jnp.concatenate([x, hidden], 1), place[..., None], 1)
        side = self.image_size // self.patch_size
        x += jnp.asarray(sinusoids_of_grid(side, side, self.decoder_width), x.dtype)
        x = sharding.shard(jnp.concatenate([token, x], 1), "batch", "length", "embed")
        x = self.decoder(x, train=train)[0][:, first:]
        return self.pixels(x), place >= self.visible

    def targets(self, image: jax.Array) -> jax.Array:
        """The pixels of each patch, of mean 0 and variance 1: as the first that `__call__` returns.

        Within a patch they are ordered by row, column and channel. The variance is divided by their
        number - 1, as the authors' is.
        """
        x = self.cut(image.astype(jnp.float32))
        x = x.reshape(*x.shape[:2], -1)
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, ddof=1, keepdims=True) + 1e-6)


VARIANTS = {
    "mae-b16": {},
    "mae-l16": {"width": 1024, "num_layers": 24, "num_heads": 16},
    "tiny": {**vit.VARIANTS["tiny"], "decoder_width": 8, "decoder_layers": 1, "decoder_heads": 2},
}
