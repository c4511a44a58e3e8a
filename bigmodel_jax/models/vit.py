"""A vision transformer: an image as a text of patches (Dosovitskiy et al. 2021)."""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.layers import unstack_layers
from bigmodel_jax.nn import mlp as mlps
from bigmodel_jax.nn.linear import Dense, Embed, Projection
from bigmodel_jax.nn.norm import LayerNorm
from bigmodel_jax.nn.positions import sinusoids_of_grid
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.transformer import Block, Remat, Stack


class Model(nn.Module):
    """From images to classes.

    Parameters: patches (kernel `[patch_size, patch_size, channels, width]`, bias); class_token
    `[width]`, if pooling is "first"; grid_positions/embedding `[tokens, width]`, the class token's first, if
    they are learned;
    encoder (nn/transformer.py:Stack, pre-norm); pooler, of the head "pooled" with pooling "first";
    classifier.

    Attributes:
        num_classes: of the head "classify".
        head: "classify"; or "pooled", what a classifier would see, behind the pooler of a class token.
        image_size: height and width, in pixels; patch_size divides it.
        positions: "learned"; or "sincos", fixed ones of row and column, 0 for a class token
            (nn/positions.py).
        mlp_dim: hidden size of the MLPs; None is 4 * width.
        pooling: "first", a class token; or "mean", over patches, without one.
        dropout: on the embedded patches, on what each half of a block adds.
        drop_path: rate at which the last block's halves are skipped (nn/transformer.py:Stack).
        scan, remat, microbatches: how the layers are compiled, see nn/transformer.py.
    """

    num_classes: int = None  # pyright: ignore - filled from the data
    head: Literal["classify", "pooled"] = "classify"
    image_size: int = 224
    patch_size: int = 16
    channels: int = 3
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_dim: int | None = None
    mlp: mlps.Kind = "gelu"
    qkv_bias: bool = True
    norm_epsilon: float = 1e-6
    positions: Literal["learned", "sincos"] = "learned"
    pooling: Literal["first", "mean"] = "first"
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: Remat = "none"
    microbatches: int = 1
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    HEADS: ClassVar[tuple[str, ...]] = ("classify", "pooled")

    def setup(self):
        for field, known in {"head": self.HEADS, **CHOICES}.items():
            if (value := getattr(self, field)) not in known:
                raise UserError(f"model.{field} is {value!r}.{nearest(value, known)}")
        if self.image_size % self.patch_size:
            raise UserError(
                f"model.image_size={self.image_size} does not divide into patches of "
                f"model.patch_size={self.patch_size}."
            )
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        init = nn.initializers.normal(0.02)
        fields: dict[str, Any] = {"kernel_init": init, **dtypes}
        self.patches = Projection(
            (self.width,),
            in_axes=3,
            names=(None, None, None, "embed"),
            **{**fields, "kernel_init": nn.initializers.lecun_normal()},
        )
        if self.pooling == "first":
            axes = sharding.axes(nn.initializers.zeros, "embed")
            self.class_token = self.param("class_token", axes, (self.width,), self.param_dtype)
        if self.positions == "learned":
            count = self.num_patches + (self.pooling == "first")
            rows = {"axis": "positions", "name": "grid_positions"}
            self.table = Embed(count, self.width, init, **rows, **dtypes)
        self.encoder = self.stack(
            self.num_layers,
            self.num_heads,
            self.mlp_dim or 4 * self.width,
            dropout=self.dropout,
            drop_path=self.drop_path,
        )
        self.drop = nn.Dropout(self.dropout)
        if self.head == "pooled" and self.pooling == "first":
            self.pooler = Dense(self.width, axes=("embed", "hidden"), **fields)
        if self.head == "classify":
            axes = ("embed", "classes")
            self.classifier = Dense(self.num_classes, axes=axes, out_dtype=jnp.float32, **fields)

    @property
    def num_patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    def stack(
        self,
        num_layers: int,
        num_heads: int,
        mlp_dim: int,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> Stack:
        """Pre-norm blocks as this model has them, of any size."""
        init = nn.initializers.normal(0.02)
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        fields: dict[str, Any] = {"kernel_init": init, "out_init": init, **dtypes}
        attention = functools.partial(SelfAttention, num_heads, qkv_bias=self.qkv_bias, **fields)
        mlp = functools.partial(mlps.MLP, mlp_dim, kind=self.mlp, **fields)
        norm = functools.partial(LayerNorm, epsilon=self.norm_epsilon, **dtypes)
        block = functools.partial(Block, attention, mlp, norm, dropout=dropout)
        compiled = (self.scan, self.remat, self.microbatches)
        return Stack(num_layers, block, norm, (None,), *compiled, drop_path=drop_path)

    def __call__(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits of classes `[batch, num_classes]` float32, or the pooled image `[batch, width]`.

        Args:
            image: `[batch, image_size, image_size, channels]`, floats.
        """
        x = self.features(image, train=train)
        if self.head == "classify":
            return self.classifier(x)
        return jnp.tanh(self.pooler(x)) if self.pooling == "first" else x

    def features(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """What the classifier sees: the class token, or the mean over patches, `[batch, width]`."""
        return self._pooled(self.hidden(image, train=train))

    def _pooled(self, x):
        return x[:, 0] if self.pooling == "first" else x.mean(1)

    def feature_map(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """What the last block gets, `[batch, tokens, width]` in `dtype`; without `scan`.

        Behind it the head reads nothing of the patches where there is a class token.
        """
        return self.encode(self.embed(image), train=train, layers=range(self.num_layers - 1))

    def from_feature_map(self, x: jax.Array) -> jax.Array:
        """The logits of what the last block gets, for Grad-CAM: `[batch, num_classes]` float32."""
        last = range(self.num_layers - 1, self.num_layers)
        return self.classifier(self._pooled(self.encoder(x, layers=last)[0]))

    def grid(self, x: jax.Array) -> jax.Array:
        """Of tokens `[batch, tokens, ...]` the patches, `[batch, rows, columns, ...]`."""
        side = self.image_size // self.patch_size
        return x[:, -side * side :].reshape(x.shape[0], side, side, *x.shape[2:])

    def hidden(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """`[batch, tokens, width]` in `dtype`: of the class token, if any, and of the patches by rows."""
        return self.encode(self.embed(image), train=train)

    def embed(self, image: jax.Array) -> jax.Array:
        """The patches, row by row, and where they are: `[batch, num_patches, width]` in `dtype`."""
        x = self.patches(self.cut(image))
        if self.positions == "learned":
            first = int(self.pooling == "first")
            return x + self.table(jnp.arange(first, first + x.shape[1]))
        side = self.image_size // self.patch_size
        return x + jnp.asarray(sinusoids_of_grid(side, side, self.width), x.dtype)

    def encode(
        self, x: jax.Array, *, train: bool = False, layers: range | None = None
    ) -> jax.Array:
        """What the blocks make of embedded patches, all or some; the class token comes first."""
        if self.pooling == "first":
            token = self.class_token.astype(x.dtype)
            if self.positions == "learned":
                token += self.table(jnp.array(0))
            token = jnp.broadcast_to(token, (x.shape[0], 1, self.width))
            x = jnp.concatenate([token, x], 1)
        x = self.drop(x, deterministic=not train)
        return self.encoder(
            sharding.shard(x, "batch", "length", "embed"), train=train, layers=layers
        )[0]

    def cut(self, image: jax.Array) -> jax.Array:
        """The patches' pixels, row by row: `[batch, num_patches, size, size, channels]`."""
        batch, height, width, channels = image.shape
        size = self.patch_size
        if (height, width, channels) != (self.image_size, self.image_size, self.channels):
            raise UserError(
                f"An image of {height} x {width} with {channels} channels does not fit "
                f"model.image_size={self.image_size}, model.channels={self.channels}."
            )
        rows, columns = height // size, width // size
        x = image.reshape(batch, rows, size, columns, size, channels).swapaxes(2, 3)
        return x.reshape(batch, rows * columns, size, size, channels)

    def attention_weights(self, variables: Mapping[str, Any], image: jax.Array) -> jax.Array:
        """Who looks at whom: `[num_layers, batch, num_heads, tokens, tokens]` float32, rows of sum 1.

        A function of its own, not to be called within `apply`.
        """
        model = self.clone(scan=False)
        _, kept = model.apply(
            {"params": unstack_layers(variables["params"])},
            image,
            capture_intermediates=lambda module, _: module.name in ("query", "key"),
            mutable=["intermediates"],
        )
        layers: Any = kept["intermediates"]["encoder"]
        weights = []
        for i in range(self.num_layers):
            made = layers[f"block_{i}"]["attention"]
            q, k = (made[name]["__call__"][0].astype(jnp.float32) for name in ("query", "key"))
            scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
            weights.append(jax.nn.softmax(scores))
        return jnp.stack(weights)


CHOICES = {
    "mlp": tuple(mlps.ACTIVATIONS),
    "positions": ("learned", "sincos"),
    "pooling": ("first", "mean"),
}

VARIANTS = {
    "vit-ti16": {"width": 192, "num_heads": 3},
    "vit-s16": {"width": 384, "num_heads": 6},
    "vit-b16": {},
    "vit-b32": {"patch_size": 32},
    "vit-l16": {"width": 1024, "num_layers": 24, "num_heads": 16},
    "tiny": {"image_size": 8, "patch_size": 4, "width": 16, "num_layers": 2, "num_heads": 2},
}
