"""Residual networks (He et al. 2015, 2016), for large images and for those of 32 x 32."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.nn.batch_norm import BatchNorm, normalise
from bigmodel_jax.nn.drop_path import DropPath, rates
from bigmodel_jax.nn.image_convolution import Convolution, he_normal, max_pool
from bigmodel_jax.nn.linear import Dense
from bigmodel_jax.nn.norm import GroupNorm


class Stem(nn.Module):
    """The first convolution; its norm and activation, unless a pre-activation block brings them.

    Parameters: conv, norm.
    """

    features: int
    kind: str
    preactivation: bool
    norm: Callable[..., nn.Module]
    dtypes: dict[str, Any]

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None, train: bool) -> jax.Array:
        size, stride = (7, 2) if self.kind == "imagenet" else (3, 1)
        axes = (None, "mlp")
        x = Convolution(self.features, size, stride, axes=axes, name="conv", **self.dtypes)(x)
        if not self.preactivation:
            x = nn.relu(normalise(self.norm(name="norm"), x, mask, train))
        return max_pool(x, 3, 2, padding=1) if self.kind == "imagenet" else x


class Block(nn.Module):
    """x + branch(x): two convolutions of 3, or the bottleneck of 1, 3 and 1.

    Parameters: conv_0, norm_0, conv_1, norm_1, of a bottleneck conv_2 and norm_2; where the shape
    changes shortcut_conv and shortcut_norm (no norm in pre-activation).

    Attributes:
        features: of the branch's inner maps.
        out: of its result; other than `features` in a bottleneck.
        stride: of the convolution of 3 that comes first.
        rate: at which the branch is dropped.
    """

    features: int
    out: int
    stride: int
    bottleneck: bool
    preactivation: bool
    zero_init: bool
    rate: float
    norm: Callable[..., nn.Module]
    dtypes: dict[str, Any]

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None, train: bool) -> jax.Array:
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        sizes = (1, 3, 1) if self.bottleneck else (3, 3)
        last = len(sizes) - 1

        def norm(y, name, init=ones):
            return normalise(self.norm(scale_init=init, name=name), y, mask, train)

        def convolve(y, features, size, stride, name, init=he_normal):
            fields = {"kernel_init": init, "name": name, **self.dtypes}
            return Convolution(features, size, stride, **fields)(y)

        y = nn.relu(norm(x, "norm_0")) if self.preactivation else x
        shortcut = x
        if x.shape[-1] != self.out or self.stride > 1:
            shortcut = convolve(y, self.out, 1, self.stride, "shortcut_conv")
            shortcut = shortcut if self.preactivation else norm(shortcut, "shortcut_norm")
        for i, size in enumerate(sizes):
            if self.preactivation and i:
                y = nn.relu(norm(y, f"norm_{i}"))
            zero = self.zero_init and i == last
            y = convolve(
                y,
                self.out if i == last else self.features,
                size,
                self.stride if i == sizes.index(3) else 1,
                f"conv_{i}",
                zeros if zero and self.preactivation else he_normal,
            )
            if not self.preactivation:
                y = norm(y, f"norm_{i}", zeros if zero else ones)
                y = y if i == last else nn.relu(y)
        x = shortcut + DropPath()(y, self.rate, train)
        return sharding.shard(x if self.preactivation else nn.relu(x), "batch", None, None, None)


class Model(nn.Module):
    """From images to classes.

    Parameters: stem; block_0, block_1, ... through all stages (see Block); norm, in pre-activation;
    classifier, of the head "classify". Running statistics of the norms in "batch_stats" under the
    same names.

    Attributes:
        num_classes: of the head "classify".
        head: "classify"; or "pooled", what a classifier would see.
        depths: blocks of each stage; the first block of each but the first halves the map.
        block: "basic" or "bottleneck", which has four times its inner maps as a result.
        stem: "imagenet", a convolution of 7 with stride 2 and a maximum over windows of 3, which
            leaves a quarter of height and width; "cifar", a convolution of 3, which leaves all.
        width: of the stem and of the first stage; it doubles from stage to stage.
        width_factor: of all stages, not of the stem (Zagoruyko and Komodakis 2016).
        preactivation: norm and activation come before each convolution, and nothing comes behind
            the sum (He et al. 2016, "Identity Mappings", version 2).
        norm: "batch", with statistics of the whole batch over all devices; or "group".
        groups: of the group norm.
        momentum, norm_epsilon: see BatchNorm.
        zero_init: each block begins as its shortcut: the scale of its last norm, in pre-activation
            the kernel of its last convolution, begins at 0 (Goyal et al. 2017).
        drop_path: rate at which the last block's branch is dropped; those before it less, the first
            block's not at all (nn/drop_path.py).
        dropout: on what the classifier sees.
    """

    num_classes: int = None  # pyright: ignore - filled from the data
    head: Literal["classify", "pooled"] = "classify"
    depths: tuple[int, ...] = (2, 2, 2, 2)
    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["imagenet", "cifar"] = "imagenet"
    width: int = 64
    width_factor: int = 1
    preactivation: bool = False
    norm: Literal["batch", "group"] = "batch"
    groups: int = 32
    momentum: float = 0.9
    norm_epsilon: float = 1e-5
    zero_init: bool = True
    drop_path: float = 0.0
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        for field, known in CHOICES.items():
            if (value := getattr(self, field)) not in known:
                raise UserError(f"model.{field} is {value!r}.{nearest(value, known)}")
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        kinds = {
            "batch": functools.partial(BatchNorm, self.momentum),
            "group": functools.partial(GroupNorm, self.groups),
        }
        norm = functools.partial(kinds[self.norm], epsilon=self.norm_epsilon, **dtypes)
        self.start = Stem(self.width, self.stem, self.preactivation, norm, dtypes, name="stem")
        self.blocks = [
            Block(
                features=size,
                out=size * (4 if self.block == "bottleneck" else 1),
                stride=2 if stage and not i else 1,
                bottleneck=self.block == "bottleneck",
                preactivation=self.preactivation,
                zero_init=self.zero_init,
                rate=rate,
                norm=norm,
                dtypes=dtypes,
                name=f"block_{number}",
            )
            for number, (stage, i, size, rate) in enumerate(self._plan())
        ]
        if self.preactivation:
            self.end = norm(name="norm")
        self.drop = nn.Dropout(self.dropout)
        if self.head == "classify":
            axes = ("embed", "classes")
            self.classifier = Dense(self.num_classes, axes=axes, out_dtype=jnp.float32, **dtypes)

    def _plan(self):
        """(stage, number in it, inner maps, rate of dropping) of each block."""
        places = [(stage, i) for stage, depth in enumerate(self.depths) for i in range(depth)]
        width = self.width * self.width_factor
        sizes = rates(self.drop_path, len(places))
        return [(s, i, width * 2**s, rate) for (s, i), rate in zip(places, sizes, strict=True)]

    def __call__(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """Logits of classes `[batch, num_classes]` float32, or of the head "pooled" the features.

        Args:
            image: `[batch, height, width, channels]`, floats.
            mask: `[batch]` bool, True = real: which rows count in the statistics of the batch.
        """
        x = self.features(image, train=train, mask=mask)
        return self.classifier(x) if self.head == "classify" else x

    def features(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """What the classifier sees, the mean over places: `[batch, width]` in `dtype`."""
        x = self._pooled(self.feature_map(image, train=train, mask=mask))
        return self.drop(x, deterministic=not train)

    def feature_map(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """The last map, `[batch, height, width, channels]` in `dtype`."""
        x = self.start(image.astype(self.dtype), mask, train)
        for block in self.blocks:
            x = block(x, mask, train)
        return nn.relu(normalise(self.end, x, mask, train)) if self.preactivation else x

    def from_feature_map(self, x: jax.Array) -> jax.Array:
        """The logits of a last map, for Grad-CAM: `[batch, num_classes]` float32."""
        return self.classifier(self._pooled(x))

    def _pooled(self, x):
        return x.astype(jnp.float32).mean((1, 2)).astype(self.dtype)


CHOICES = {
    "head": ("classify", "pooled"),
    "block": ("basic", "bottleneck"),
    "stem": ("imagenet", "cifar"),
    "norm": ("batch", "group"),
}

VARIANTS = {
    "resnet-18": {},
    "resnet-34": {"depths": (3, 4, 6, 3)},
    "resnet-50": {"depths": (3, 4, 6, 3), "block": "bottleneck"},
    "resnet-101": {"depths": (3, 4, 23, 3), "block": "bottleneck"},
    "resnet-152": {"depths": (3, 8, 36, 3), "block": "bottleneck"},
    "cifar-resnet-18": {"stem": "cifar"},
    "wide-resnet-28-10": {
        "stem": "cifar",
        "depths": (4, 4, 4),
        "width": 16,
        "width_factor": 10,
        "preactivation": True,
    },
    "tiny": {"stem": "cifar", "depths": (1, 1), "width": 8},
}
