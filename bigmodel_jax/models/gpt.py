"""A decoder: GPT-2's, and by its fields Llama's, Qwen's, Mistral's and Gemma's.

One stack of causal blocks under four heads: the next token, a class of the text, a tag for each token,
the ends of a span; the same network has the same parameter paths under each.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.nn import mlp as mlps
from bigmodel_jax.nn.disturb import disturb
from bigmodel_jax.nn.linear import Dense, Embed
from bigmodel_jax.nn.norm import LayerNorm, RMSNorm
from bigmodel_jax.nn.pooling import Pool
from bigmodel_jax.nn.positions import rotation
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.self_attention import init_cache as attention_cache
from bigmodel_jax.nn.transformer import Block, Remat, Stack


class Model(nn.Module):
    """A causal language model, or a classifier of texts or tokens on top of one.

    Parameters: embed; positions, if learned; decoder (nn/transformer.py:Stack); head, the language
    model's if it is not tied; classifier; pool, if pooling is "attention".

    Attributes:
        head: "lm", "classify", "tag" or "span", the start and the end of one.
        num_classes: of "classify" and "tag".
        max_length: of a text; only learned positions have an end.
        mlp_dim: hidden size of the MLPs; None is 4 * width.
        mlp: kind of MLP, see nn/mlp.py.
        num_groups, head_dim, qk_norm, softcap, scale: of attention, see nn/self_attention.py.
        window: of attention, one or a tuple that the layers repeat (None: the whole text).
        positions: "learned", a table that is added, or "rope", see nn/positions.py.
        norm: "layer" or "rms"; out_norms, see nn/transformer.py.
        bias: in all layers and layer norms; qkv_bias, of query, key and value, where that differs.
        tied: the language model's head is the table of embeddings.
        embed_scale: embeddings are multiplied by sqrt(width).
        logit_softcap: logits become softcap * tanh(logits / softcap).
        pooling: of the hidden states for a class (nn/pooling.py).
        dropout: on the embedded text, on what each half of a block adds, on what the classifier sees.
        embed_dropout, word_dropout: see nn/disturb.py.
        scan, remat, microbatches: how the layers are compiled, see nn/transformer.py.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    head: Literal["lm", "classify", "tag", "span"] = "lm"
    max_length: int = 1024
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    num_groups: int | None = None
    head_dim: int | None = None
    mlp_dim: int | None = None
    mlp: mlps.Kind = "gelu_tanh"
    positions: Literal["learned", "rope"] = "learned"
    rope_theta: float = 10_000.0
    rope_scaling: Mapping[str, Any] | None = None
    norm: Literal["layer", "rms"] = "layer"
    norm_epsilon: float = 1e-5
    out_norms: bool = False
    bias: bool = True
    qkv_bias: bool | None = None
    qk_norm: bool = False
    window: int | tuple[int | None, ...] | None = None
    softcap: float | None = None
    scale: float | None = None
    tied: bool = True
    embed_scale: bool = False
    logit_softcap: float | None = None
    pooling: Literal["last", "mean", "max", "attention"] = "last"
    dropout: float = 0.0
    embed_dropout: float = 0.0
    word_dropout: float = 0.0
    scan: bool = False
    remat: Remat = "none"
    microbatches: int = 1
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        for field, known in CHOICES.items():
            if (value := getattr(self, field)) not in known:
                raise UserError(f"model.{field} is {value!r}.{nearest(value, known)}")
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        init = nn.initializers.normal(0.02)
        # What residual sums add up to does not grow with the depth (Radford et al. 2019).
        out_init = nn.initializers.normal(0.02 * (2 * self.num_layers) ** -0.5)
        self.embed = Embed(self.vocabulary_size, self.width, init, **dtypes)
        if self.positions == "learned":
            size = (self.max_length, self.width)
            self.table = Embed(*size, init, axis="positions", name="positions", **dtypes)

        norm = functools.partial(RMSNorm, epsilon=self.norm_epsilon, **dtypes)
        if self.norm == "layer":
            fields = {"epsilon": self.norm_epsilon, "use_bias": self.bias, **dtypes}
            norm = functools.partial(LayerNorm, **fields)
        attention = functools.partial(
            SelfAttention,
            self.num_heads,
            num_groups=self.num_groups,
            head_dim=self.head_dim,
            causal=True,
            qkv_bias=self.bias if self.qkv_bias is None else self.qkv_bias,
            out_bias=self.bias,
            qk_norm_epsilon=self.norm_epsilon if self.qk_norm else None,
            softcap=self.softcap,
            scale=self.scale,
            kernel_init=init,
            out_init=out_init,
            **dtypes,
        )
        mlp = functools.partial(
            mlps.MLP,
            self.mlp_dim or 4 * self.width,
            kind=self.mlp,
            use_bias=self.bias,
            kernel_init=init,
            out_init=out_init,
            **dtypes,
        )
        fields = {"out_norms": self.out_norms, "dropout": self.dropout}
        block = functools.partial(Block, attention, mlp, norm, **fields)
        windows = self.window if isinstance(self.window, tuple) else (self.window,)
        compiled = (self.scan, self.remat, self.microbatches)
        self.decoder = Stack(self.num_layers, block, norm, windows, *compiled)

        self.drop = nn.Dropout(self.dropout)
        if self.head == "lm" and not self.tied:
            self.lm_head = Dense(
                self.vocabulary_size,
                use_bias=False,
                axes=("embed", "vocab"),
                kernel_init=init,
                out_dtype=jnp.float32,
                name="head",
                **dtypes,
            )
        if self.head == "classify":
            self.pool = Pool(self.pooling, **dtypes)
        if self.head != "lm":
            fields = {"kernel_init": init, "out_dtype": jnp.float32, **dtypes}
            classes = 2 if self.head == "span" else self.num_classes
            self.classifier = Dense(classes, axes=("embed", "classes"), **fields)

    def __call__(
        self,
        tokens: jax.Array,
        mask: jax.Array | None = None,
        *,
        positions: jax.Array | None = None,
        train: bool = False,
        presence: jax.Array | None = None,
    ) -> jax.Array:
        """Logits, float32: `[batch, length, vocabulary_size]` of the next token; of a class
        `[batch, num_classes]`; of each token's tag `[batch, length, num_classes]`; of the start and
        the end of a span `[batch, length, 2]`.

        Args:
            tokens: `[batch, length]` int32.
            mask: `[batch, length]`: bool, True = real; or int32, the document that a token of a
                packed row belongs to, 1 up, 0 = padding: no document sees another. None: all real.
            positions: `[batch, length]` int32; None is 0, 1, 2, ...
            presence: `[batch, length]` float32, a factor of each token's embedding, for
                explanations; None is 1 everywhere.
        """
        x = self.hidden(tokens, mask, positions=positions, train=train, presence=presence)
        if self.head == "lm":
            return self.logits(x)
        if self.head == "classify":
            real = jnp.ones(tokens.shape, bool) if mask is None else mask.astype(bool)
            x = self.pool(x, real)
        return self.classifier(self.drop(x, deterministic=not train))

    def hidden(
        self,
        tokens: jax.Array,
        mask: jax.Array | None = None,
        *,
        positions: jax.Array | None = None,
        train: bool = False,
        presence: jax.Array | None = None,
    ) -> jax.Array:
        """`[batch, length, width]` in `dtype`, what the heads see; arguments as of `__call__`."""
        if positions is None:
            positions = jnp.arange(tokens.shape[1])[None]
            if self.positions == "learned" and tokens.shape[1] > self.max_length:
                raise UserError(
                    f"A text of {tokens.shape[1]} tokens is longer than model.max_length="
                    f"{self.max_length}: cut it, or make max_length larger."
                )
        x, view = self._embed(tokens, positions, presence, train)
        if mask is not None:
            # Nobody looks at padding, but a NaN times a weight of 0 is NaN.
            x = jnp.where(mask.astype(bool)[..., None], x, jnp.zeros((), x.dtype))
            view["segments"] = mask.astype(jnp.int32)
        return self.decoder(x, train=train, **view)[0]

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Of the next token, `[..., vocabulary_size]` float32, from hidden states `[..., width]`."""
        logits = self.embed.attend(hidden) if self.tied else self.lm_head(hidden)
        if self.logit_softcap is not None:
            logits = self.logit_softcap * jnp.tanh(logits / self.logit_softcap)
        return logits

    def decode(
        self, tokens: jax.Array, positions: jax.Array, cache: Any, last: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        """Logits `[batch, length, vocabulary_size]` float32, and the cache with these tokens in it.

        A token's key and value go to the slot of its position, and it sees the slots up to that: so
        prompts of different lengths, padded on the right, and the single tokens that follow them
        take the same path. A position beyond the cache is not kept.

        Args:
            tokens, positions: `[batch, length]` int32.
            cache: of `init_cache`, or of the call before.
            last: `[batch]` int32, the one token of each row whose logits are wanted; they are then
                `[batch, 1, vocabulary_size]`. None is all.
        """
        x, view = self._embed(tokens, positions, None, train=False)
        x, cache = self.decoder(x, positions=positions, cache=cache, **view)
        if last is not None:
            x = jnp.take_along_axis(x, last[:, None, None], 1)
        return self.logits(x), cache

    @property
    def cache_axis(self) -> int:
        """The axis of the rows in the arrays of the cache."""
        return 1 if self.scan else 0

    @nn.nowrap
    def init_cache(self, batch: int, length: int) -> dict[str, Any]:
        """An empty cache for `decode`: zeros, in `dtype`, for `length` positions of each row."""
        groups = self.num_groups or self.num_heads
        size = self.head_dim or self.width // self.num_heads
        layer = attention_cache(batch, length, groups, size, self.dtype)
        if self.scan:
            return {"blocks": {k: jnp.stack([x] * self.num_layers) for k, x in layer.items()}}
        return {f"block_{i}": layer for i in range(self.num_layers)}

    @nn.compact
    def _embed(self, tokens, positions, presence, train):
        x = self.embed(tokens)
        if self.embed_scale:
            x *= jnp.asarray(self.width**0.5, x.dtype)
        rates = {"word_dropout": self.word_dropout, "embed_dropout": self.embed_dropout}
        x = disturb(x, presence, train=train, **rates)
        view: dict[str, Any] = {}
        if self.positions == "learned":
            x += self.table(positions)
        else:
            size = self.head_dim or self.width // self.num_heads
            view["rotation"] = rotation(positions, size, self.rope_theta, self.rope_scaling)
        x = self.drop(x, deterministic=not train)
        return sharding.shard(x, "batch", "length", "embed"), view


CHOICES = {
    "head": ("lm", "classify", "tag", "span"),
    "positions": ("learned", "rope"),
    "norm": ("layer", "rms"),
    "mlp": tuple(mlps.ACTIVATIONS),
}

_LLAMA = {
    "positions": "rope",
    "norm": "rms",
    "mlp": "swiglu",
    "bias": False,
    "tied": False,
    "head_dim": 128,
}
_LLAMA_31 = {
    **_LLAMA,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
# Sizes of published models come with their vocabularies; data with more tokens is refused.
VARIANTS = {
    "gpt2": {"vocabulary_size": 50257},
    "gpt2-medium": {"vocabulary_size": 50257, "width": 1024, "num_layers": 24, "num_heads": 16},
    "gpt2-large": {"vocabulary_size": 50257, "width": 1280, "num_layers": 36, "num_heads": 20},
    "gpt2-xl": {"vocabulary_size": 50257, "width": 1600, "num_layers": 48, "num_heads": 25},
    "llama-1b": {
        **_LLAMA_31,
        "vocabulary_size": 128_256,
        "width": 2048,
        "num_layers": 16,
        "num_heads": 32,
        "num_groups": 8,
        "head_dim": 64,
        "mlp_dim": 8192,
        "rope_scaling": {**_LLAMA_31["rope_scaling"], "factor": 32.0},
        "tied": True,
    },
    "llama-8b": {
        **_LLAMA_31,
        "vocabulary_size": 128_256,
        "width": 4096,
        "num_layers": 32,
        "num_heads": 32,
        "num_groups": 8,
        "mlp_dim": 14_336,
    },
    "qwen3-0.6b": {
        **_LLAMA,
        "vocabulary_size": 151_936,
        "width": 1024,
        "num_layers": 28,
        "num_heads": 16,
        "num_groups": 8,
        "mlp_dim": 3072,
        "rope_theta": 1_000_000.0,
        "norm_epsilon": 1e-6,
        "qk_norm": True,
        "tied": True,
    },
    "gemma-2-2b": {
        **_LLAMA,
        "vocabulary_size": 256_000,
        "width": 2304,
        "num_layers": 26,
        "num_heads": 8,
        "num_groups": 4,
        "head_dim": 256,
        "mlp_dim": 9216,
        "mlp": "geglu",
        "norm_epsilon": 1e-6,
        "out_norms": True,
        "window": (4096, None),
        "softcap": 50.0,
        "logit_softcap": 30.0,
        "embed_scale": True,
        "tied": True,
    },
    "shakespeare": {
        "width": 384,
        "num_layers": 6,
        "num_heads": 6,
        "max_length": 256,
        "mlp": "gelu",
        "bias": False,
    },
    "tiny": {"width": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 32, "max_length": 64},
}
