"""An autoencoder whose code is a grid of numbers out of a few, and a language model of such grids.

Van den Oord et al. 2017 (VQ-VAE), whose prior over the codes is here a decoder of models/gpt.py that reads
the class first.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.errors import UserError
from bigmodel_jax.models import gpt
from bigmodel_jax.nn.codebook import Codebook
from bigmodel_jax.nn.image_convolution import Convolution, from_depth, to_depth

HALVINGS = 2


class Encoder(nn.Module):
    """Images to vectors of a map of a quarter of the sides. Parameters: conv_0, conv_1, middle, code."""

    width: int
    dim: int
    dtypes: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        fields: dict[str, Any] = {"use_bias": True, **self.dtypes}
        for i in range(HALVINGS):
            axes = ("embed" if i else None, "mlp")
            x = Convolution(self.width << i, axes=axes, name=f"conv_{i}", **fields)(to_depth(x))
            x = nn.relu(x)
        x += nn.relu(Convolution(x.shape[-1], name="middle", **fields)(x))
        return Convolution(self.dim, 1, axes=("embed", None), name="code", **fields)(x)


class Decoder(nn.Module):
    """Vectors of a map to logits of pixels. Parameters: start, middle, conv_1, pixels."""

    width: int
    channels: int
    dtypes: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        fields: dict[str, Any] = {"use_bias": True, **self.dtypes}
        wide = self.width << (HALVINGS - 1)
        x = nn.relu(Convolution(wide, axes=(None, "mlp"), name="start", **fields)(x))
        x += nn.relu(Convolution(wide, name="middle", **fields)(x))
        for i in range(1, HALVINGS):
            x = x.repeat(2, 1).repeat(2, 2)
            x = nn.relu(Convolution(wide >> i, name=f"conv_{i}", **fields)(x))
        given: dict[str, Any] = {"axes": ("embed", None), **fields}
        x = Convolution(4 * self.channels, name="pixels", **given)(x)
        return from_depth(x).astype(jnp.float32)


class Model(nn.Module):
    """Parameters: encoder, decoder and prior; "codebook" holds the codes (nn/codebook.py).

    Attributes:
        width: channels of the maps of half the sides.
        codes, dim: how many codes there are, and of how many numbers.
        prior: fields of models/gpt.py that differ from its defaults.
    """

    image_size: int = None  # pyright: ignore - filled from the data
    channels: int = None  # pyright: ignore
    num_classes: int = None  # pyright: ignore
    width: int = 32
    codes: int = 128
    dim: int = 16
    decay: float = 0.99
    prior: Mapping[str, Any] | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        if self.image_size % 2**HALVINGS:
            raise UserError(f"model.image_size={self.image_size} must divide by {2**HALVINGS}.")
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.encoder = Encoder(self.width, self.dim, dtypes)
        self.codebook = Codebook(self.codes, self.decay)
        self.decoder = Decoder(self.width, self.channels, dtypes)
        # The class, and all codes but the last.
        fields = {**(self.prior or {}), "max_length": self.places, **dtypes}
        self.language = gpt.Model(self.codes + self.num_classes, **fields, name="prior")

    @property
    def side(self) -> int:
        """Of the grid of codes."""
        return self.image_size >> HALVINGS

    @property
    def places(self) -> int:
        return self.side**2

    def __call__(
        self,
        image: jax.Array,
        label: jax.Array,
        *,
        train: bool = False,
        mask: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(logits of the pixels, of the image's shape, float32; the codes' numbers; how far they are off).

        Args:
            image: `[batch, height, width, channels]`, 0 to 1.
            label: `[batch]` int32; of the prior alone.
            train: the codes follow.
            mask: `[batch]` bool, True = real: which rows move the codes.

        Returns:
            Of the last two `[batch, places]` int32 and `[batch]` float32: the mean squared distance of the
            encoder's vectors from their codes, whose gradient is the vectors'.
        """
        x = self._encoded(image)
        found, index = self.codebook(x, mask, train=train)
        off = jnp.square((x - jax.lax.stop_gradient(found)).astype(jnp.float32)).mean((1, 2))
        if self.is_initializing():
            self.foretell(index, label)
        return self._decoded(found), index, off

    def encode(self, image: jax.Array) -> jax.Array:
        """The codes' numbers, `[batch, places]` int32, row by row."""
        return self.codebook(self._encoded(image))[1]

    def decode(self, index: jax.Array) -> jax.Array:
        """Logits of the pixels of codes `[batch, places]`, float32."""
        return self._decoded(self.codebook.look_up(index).astype(self.dtype))

    def foretell(self, index: jax.Array, label: jax.Array) -> jax.Array:
        """Logits of each code from the class and the codes before, `[batch, places, codes]` float32."""
        tokens = jnp.concatenate([self.codes + label[:, None], index[:, :-1]], 1)
        return self.language(tokens)[..., : self.codes]

    def write(self, label: jax.Array, luck: jax.Array) -> jax.Array:
        """Codes of classes, each the likeliest after `luck` is added to the logits; `[batch, places]`.

        Args:
            label: `[batch]` int32.
            luck: `[batch, places, codes]` float32; of Gumbel's distribution, codes are drawn by their
                probability.
        """

        def step(carry, inputs):
            token, cache = carry
            place, luck = inputs
            at = jnp.full(token[:, None].shape, place, jnp.int32)
            logits, cache = self.language.decode(token[:, None], at, cache)
            token = (logits[:, 0, : self.codes] + luck).argmax(-1).astype(jnp.int32)
            return (token, cache), token

        cache = self.language.init_cache(len(label), self.places)
        inputs = jnp.arange(self.places), luck.swapaxes(0, 1)
        return jax.lax.scan(step, (self.codes + label, cache), inputs)[1].swapaxes(0, 1)

    def _encoded(self, image):
        x = self.encoder(image.astype(self.dtype))
        return x.reshape(len(x), self.places, self.dim)

    def _decoded(self, x):
        return self.decoder(x.reshape(-1, self.side, self.side, self.dim))


VARIANTS = {"tiny": {"width": 8, "codes": 16, "dim": 4}}
