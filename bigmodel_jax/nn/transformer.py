"""Blocks of attention and an MLP, and stacks of them, unrolled, scanned or in stages."""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.nn.drop_path import DropPath, rates
from bigmodel_jax.nn.pipeline import count_of, pipeline

Remat = Literal["none", "full", "dots"]


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), dropout on what is added.

    A decoder's block has x + cross(norm(x), memory) between them.

    Parameters: attention_norm, attention, mlp_norm, mlp; with cross cross_norm and cross; with
    out_norms attention_out_norm and mlp_out_norm.

    Attributes:
        attention, mlp, norm: make the layers, given their name: partials of SelfAttention, MLP and a
            norm of nn/norm.py.
        cross: makes a CrossAttention, given its name; None is no such part.
        norm_first: pre-norm (Xiong et al. 2020), as above; else post-norm: norm(x + attention(x)),
            then norm(x + mlp(x)) (Vaswani et al. 2017, BERT).
        out_norms: pre-norm, and what is added is normalised too (Gemma 2).
    """

    attention: Callable[..., nn.Module]
    mlp: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    norm_first: bool = True
    out_norms: bool = False
    dropout: float = 0.0
    cross: Callable[..., nn.Module] | None = None

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        mask: jax.Array | None = None,
        *,
        cache: Any = None,
        memory: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        drop_path: float | jax.Array = 0.0,
        train: bool = False,
        **view: Any,
    ) -> tuple[jax.Array, Any]:
        """`mask` and `view` are what SelfAttention takes; returns x and the cache, if there is one.

        Args:
            cache: of the attention; with cross {"attention": ..., "cross": ...}.
            memory, memory_mask: what cross looks at, see CrossAttention.
            drop_path: rate at which an example skips each half (nn/drop_path.py).
        """
        drop, skip = nn.Dropout(self.dropout, deterministic=not train), DropPath()

        def add(x, y, name):
            if self.out_norms:
                y = self.norm(name=f"{name}_out_norm")(y)
            x += skip(drop(y), drop_path, train)
            x = x if self.norm_first else self.norm(name=f"{name}_norm")(x)
            return sharding.shard(x, "batch", "length", "embed")

        y = self.norm(name="attention_norm")(x) if self.norm_first else x
        own = cache["attention"] if self.cross and cache is not None else cache
        y, own = self.attention(name="attention")(y, mask, cache=own, **view)
        x = add(x, y, "attention")
        if self.cross is None:
            cache = own
        else:
            y = self.norm(name="cross_norm")(x) if self.norm_first else x
            other = None if cache is None else cache["cross"]
            y, other = self.cross(name="cross")(y, memory, memory_mask, other)
            x = add(x, y, "cross")
            cache = None if cache is None else {"attention": own, "cross": other}
        y = self.norm(name="mlp_norm")(x) if self.norm_first else x
        return add(x, self.mlp(name="mlp")(y), "mlp"), cache


class Stack(nn.Module):
    """`num_layers` blocks, and a norm at the end: `[batch, length, dim]` to the same.

    Parameters: block_0, block_1, ... (see Block); if scanned, blocks, which has them on a leading
    axis "layers" (layers.py converts); and norm.

    Attributes:
        block: makes a Block, given its name.
        norm: makes the norm at the end; None is no norm.
        windows: of the layers' attention, repeated until there are enough: (4096, None) alternates
            between a window and the whole text.
        scan: one block is compiled and run `num_layers` times (jax.lax.scan): the time to compile
            does not grow with the depth.
        remat: what the backward pass computes anew instead of keeping it: "none"; "full", all but
            the input of each block; "dots", all but the results of products with parameters.
        microbatches: into which a batch is cut in training, for a mesh whose stages split "layers"
            (nn/pipeline.py); scanned layers alone. It changes what dropout draws, the mesh does not.
        drop_path: rate at which an example skips the halves of the last block; the first block's are
            never skipped, and between them it grows in equal steps.
    """

    num_layers: int
    block: Callable[..., nn.Module]
    norm: Callable[..., nn.Module] | None
    windows: tuple[int | None, ...] = (None,)
    scan: bool = False
    remat: Remat = "none"
    microbatches: int = 1
    drop_path: float = 0.0

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        *,
        cache: Any = None,
        train: bool = False,
        layers: range | None = None,
        **view: Any,
    ) -> tuple[jax.Array, Any]:
        """`view` is what a Block takes but the window; returns x and the cache, of all layers.

        Args:
            layers: only these run, unless they are scanned, and the norm only behind the last of all.
        """
        windows = [self.windows[i % len(self.windows)] for i in range(self.num_layers)]

        if self.remat not in REMATS:
            raise UserError(f"model.remat is {self.remat!r}.{nearest(self.remat, REMATS)}")

        def call(block, x, window, rate, cache, view):
            # Closed over, not an argument: that would be traced, and no kernel could skip by it.
            def layer(block, x, cache):
                given = {"window": window, "cache": cache, "drop_path": rate, "train": train}
                return block(x, **given, **view)

            if self.remat != "none":
                layer = nn.remat(layer, policy=REMATS[self.remat], prevent_cse=not self.scan)
            return layer(block, x, cache)

        if train and self.microbatches > 1 and not self.scan:
            raise UserError(
                f"model.microbatches={self.microbatches} is for layers that are scanned: set model.scan=True."
            )
        if self.scan and cache is None and self._in_stages(train):
            x = self._pipeline(call, x, windows, view, train)
        elif self.scan:
            x, cache = self._scan(call, x, windows, cache, view)
        else:
            made = {}
            skips = rates(self.drop_path, self.num_layers)
            layers = range(self.num_layers) if layers is None else layers
            for i in layers:
                name = f"block_{i}"
                given = None if cache is None else cache[name]
                block = self.block(name=name)
                x, made[name] = call(block, x, windows[i], skips[i], given, view)
            cache = made
        ends = layers is None or layers.stop == self.num_layers
        return self.norm(name="norm")(x) if ends and self.norm is not None else x, cache

    def _by_layer(self, windows):
        """(the window of all layers, None or their windows if they differ, None or their rates)."""
        sizes = skips = None
        if len(set(windows)) > 1:
            far = np.iinfo(np.int32).max
            sizes = jnp.array([far if w is None else w for w in windows], jnp.int32)
        if self.drop_path:
            skips = jnp.array(rates(self.drop_path, self.num_layers), jnp.float32)
        return windows[0], sizes, skips

    def _scan(self, call, x, windows, cache, view):
        window, sizes, skips = self._by_layer(windows)

        def body(block, x, layer):
            size, rate, cache = layer
            size, rate = window if size is None else size, 0.0 if rate is None else rate
            return call(block, x, size, rate, cache, view)

        scanned = nn.scan(
            body,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            length=self.num_layers,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        given = None if cache is None else cache["blocks"]
        x, given = scanned(self.block(name="blocks"), x, (sizes, skips, given))
        return x, {"blocks": given}

    def _in_stages(self, train):
        stages = sharding.parts("layers")
        return not self.is_initializing() and (stages > 1 or (train and self.microbatches > 1))

    def _pipeline(self, call, x, windows, view, train):
        window, sizes, skips = self._by_layer(windows)
        keys = None
        if self.has_rng("dropout"):
            keys = jax.random.split(self.make_rng("dropout"), self.num_layers)
        # A block of no scope, to be given the parameters of one layer.
        block = self.block(name="blocks", parent=None)
        apply = nn.apply(lambda block, *args: call(block, *args)[0], block)

        def stage(layers, x, view, number):
            def body(x, layer):
                params, size, rate, key = layer
                size, rate = window if size is None else size, 0.0 if rate is None else rate
                rngs = None if key is None else {"dropout": jax.random.fold_in(key, number)}
                return apply({"params": params}, x, size, rate, None, view, rngs=rngs), None

            return jax.lax.scan(body, x, layers)[0]

        layers = (self.get_variable("params", "blocks"), sizes, skips, keys)
        y = pipeline(stage, layers, x, view, count_of(self.microbatches, len(x), train))
        return sharding.shard(y, "batch", "length", "embed")


# Policies of jax.checkpoint: what is kept.
REMATS = {
    "none": None,
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}
