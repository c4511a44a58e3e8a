"""A vision transformer: an image as a text of patches (Dosovitskiy et al. 2021)."""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.nn import mlp as mlps
from bigmodel_jax.nn.linear import Dense, Embed, Projection
from bigmodel_jax.nn.norm import LayerNorm
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.transformer import Block, Remat, Stack


class Model(nn.Module):
    """From images to classes.

    Parameters: patches (kernel `[patch_size, patch_size, channels, width]`, bias); class_token
    `[width]`, if pooling is "first"; positions/embedding `[tokens, width]`, the class token's first;
    encoder (nn/transformer.py:Stack, pre-norm); pooler, of the head "pooled" with pooling "first";
    classifier.

    Attributes:
        num_classes: of the head "classify".
        head: "classify"; or "pooled", what a classifier would see, behind the pooler of a class token.
        image_size: height and width, in pixels; patch_size divides it.
        mlp_dim: hidden size of the MLPs; None is 4 * width.
        pooling: "first", a class token; or "mean", over patches, without one.
        dropout: on the embedded patches, on what each half of a block adds.
        scan, remat: how the layers are compiled, see nn/transformer.py.
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
    pooling: Literal["first", "mean"] = "first"
    dropout: float = 0.0
    scan: bool = False
    remat: Remat = "none"
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        for field, known in CHOICES.items():
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
        count = (self.image_size // self.patch_size) ** 2
        if self.pooling == "first":
            axes = sharding.axes(nn.initializers.zeros, "embed")
            self.class_token = self.param("class_token", axes, (self.width,), self.param_dtype)
            count += 1
        self.table = Embed(count, self.width, init, axis="positions", name="positions", **dtypes)
        attention = functools.partial(
            SelfAttention, self.num_heads, qkv_bias=self.qkv_bias, out_init=init, **fields
        )
        mlp = functools.partial(
            mlps.MLP, self.mlp_dim or 4 * self.width, kind=self.mlp, out_init=init, **fields
        )
        norm = functools.partial(LayerNorm, epsilon=self.norm_epsilon, **dtypes)
        block = functools.partial(Block, attention, mlp, norm, dropout=self.dropout)
        self.encoder = Stack(self.num_layers, block, norm, scan=self.scan, remat=self.remat)
        self.drop = nn.Dropout(self.dropout)
        if self.head == "pooled" and self.pooling == "first":
            self.pooler = Dense(self.width, axes=("embed", "hidden"), **fields)
        if self.head == "classify":
            axes = ("embed", "classes")
            self.classifier = Dense(self.num_classes, axes=axes, out_dtype=jnp.float32, **fields)

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
        x = self.hidden(image, train=train)
        return x[:, 0] if self.pooling == "first" else x.mean(1)

    def hidden(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """`[batch, tokens, width]` in `dtype`: of the class token, if any, and of the patches by rows."""
        batch, height, width, channels = image.shape
        size = self.patch_size
        if (height, width, channels) != (self.image_size, self.image_size, self.channels):
            raise UserError(
                f"An image of {height} x {width} with {channels} channels does not fit "
                f"model.image_size={self.image_size}, model.channels={self.channels}."
            )
        rows, columns = height // size, width // size
        x = image.reshape(batch, rows, size, columns, size, channels).swapaxes(2, 3)
        x = self.patches(x.reshape(batch, rows * columns, size, size, channels))
        if self.pooling == "first":
            token = jnp.broadcast_to(self.class_token.astype(x.dtype), (batch, 1, self.width))
            x = jnp.concatenate([token, x], 1)
        x += self.table(jnp.arange(x.shape[1]))
        x = self.drop(x, deterministic=not train)
        return self.encoder(sharding.shard(x, "batch", "length", "embed"), train=train)[0]


CHOICES = {
    "head": ("classify", "pooled"),
    "mlp": tuple(mlps.ACTIVATIONS),
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
