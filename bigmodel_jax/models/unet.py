"""A U-Net that tells noise from image: convolutions down to a small map and up again.

Ho et al. 2020, with the time and the class scaling and shifting each block (Dhariwal and Nichol 2021).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.activations import silu
from bigmodel_jax.nn.conditioning import Condition
from bigmodel_jax.nn.image_convolution import Convolution, from_depth, mean_pool, to_depth
from bigmodel_jax.nn.linear import Dense
from bigmodel_jax.nn.norm import GroupNorm
from bigmodel_jax.nn.self_attention import SelfAttention

GROUPS = 8  # of a norm
zeros = nn.initializers.zeros


class Block(nn.Module):
    """Two convolutions around what is added of the condition, beside a shortcut; perhaps attention.

    Parameters: norm_0, conv_0, condition, norm_1, conv_1; shortcut, where the number of channels changes;
    attention_norm and attention.
    """

    features: int
    attention: bool
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x, condition):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        bias: dict[str, Any] = {"use_bias": True, **dtypes}
        last: dict[str, Any] = {"kernel_init": zeros, **bias}  # a block begins as its shortcut
        y = silu(GroupNorm(GROUPS, name="norm_0", **dtypes)(x))
        y = Convolution(self.features, name="conv_0", **bias)(y)
        given: dict[str, Any] = {"axes": ("embed", None), "kernel_init": zeros, **dtypes}
        found = Dense(2 * self.features, name="condition", **given)(silu(condition))
        scale, shift = jnp.split(found[:, None, None], 2, -1)
        y = silu(GroupNorm(GROUPS, name="norm_1", **dtypes)(y) * (1 + scale) + shift)
        y = Convolution(self.features, name="conv_1", **last)(y)
        if x.shape[-1] != self.features:
            x = Convolution(self.features, 1, name="shortcut", **bias)(x)
        x = sharding.shard(x + y, "batch", None, None, None)
        if self.attention:
            y = GroupNorm(GROUPS, name="attention_norm", **dtypes)(x)
            y = y.reshape(len(y), -1, self.features)
            look = SelfAttention(
                max(1, self.features // 64), out_init=zeros, name="attention", **dtypes
            )
            x += look(y)[0].reshape(x.shape)
        return x


class Model(nn.Module):
    """From an image with noise, a time and a class to what is predicted, of the image's shape, float32.

    Parameters: condition (nn/conditioning.py), first, down_i_j, middle_0, middle_1, up_i_j (each a Block;
    i the level, 0 the largest map), grow_i, last_norm, last.

    Attributes:
        patch: squares of so many places are one to the network, which sees their channels.
        width: channels of the largest map.
        widths: times that, of each level; from one to the next the sides are halved.
        blocks: of each level on the way down; on the way up there is one more.
        attention: the levels that have it, besides the middle.
    """

    image_size: int = None  # pyright: ignore - filled from the data
    channels: int = None  # pyright: ignore
    num_classes: int = None  # pyright: ignore
    patch: int = 1
    width: int = 128
    widths: tuple[int, ...] = (1, 2, 2)
    blocks: int = 2
    attention: tuple[int, ...] = (1,)
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, time: jax.Array, label: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """`[batch, height, width, channels]` float32.

        Args:
            image: of the same shape.
            time: `[batch]`, 0 is the image and 1 noise alone.
            label: `[batch]` int32; num_classes is no class.
            train: changes nothing.
        """
        whole = self.patch << (len(self.widths) - 1)
        if self.image_size % whole or self.width % GROUPS:
            raise UserError(
                f"model.image_size={self.image_size} must divide by {whole}, model.patch and the "
                f"halvings of model.widths, and model.width={self.width} by {GROUPS}."
            )
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        bias: dict[str, Any] = {"use_bias": True, **dtypes}
        sizes = [self.width * factor for factor in self.widths]
        condition = Condition(4 * self.width, self.num_classes, name="condition", **dtypes)
        told = condition(time, label)

        def block(x, level, name, attention=None):
            attention = level in self.attention if attention is None else attention
            return Block(sizes[level], attention, name=name, **dtypes)(x, told)

        x = to_depth(image.astype(self.dtype), self.patch)
        x = Convolution(self.width, axes=(None, "mlp"), name="first", **bias)(x)
        kept = [x]
        for level in range(len(sizes)):
            if level:
                kept.append(x := mean_pool(x, 2, 2))
            for i in range(self.blocks):
                kept.append(x := block(x, level, f"down_{level}_{i}"))
        x = block(x, level, "middle_0", attention=True)
        x = block(x, level, "middle_1", attention=False)
        for level in reversed(range(len(sizes))):
            for i in range(self.blocks + 1):
                x = block(jnp.concatenate([x, kept.pop()], -1), level, f"up_{level}_{i}")
            if level:
                x = x.repeat(2, 1).repeat(2, 2)
                x = Convolution(sizes[level - 1], name=f"grow_{level}", **bias)(x)
        x = silu(GroupNorm(GROUPS, name="last_norm", **dtypes)(x))
        last: dict[str, Any] = {"axes": ("embed", None), "kernel_init": zeros, **bias}
        x = Convolution(self.patch**2 * self.channels, name="last", **last)(x)
        return from_depth(x, self.patch).astype(jnp.float32)


VARIANTS = {"cifar10": {}, "tiny": {"width": 8, "widths": (1, 2), "blocks": 1, "attention": ()}}
