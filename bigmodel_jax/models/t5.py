"""Encoder-decoders: T5, and by its fields the Transformer of 2017.

One text is encoded, another is written that looks at it: translations, summaries, answers.
"""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.nn import cross_attention
from bigmodel_jax.nn import mlp as mlps
from bigmodel_jax.nn.cross_attention import CrossAttention
from bigmodel_jax.nn.linear import Dense, Embed
from bigmodel_jax.nn.norm import LayerNorm, RMSNorm
from bigmodel_jax.nn.positions import sinusoids
from bigmodel_jax.nn.relative import RelativeBias
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.self_attention import init_cache as attention_cache
from bigmodel_jax.nn.transformer import Block, Remat, Stack


class Model(nn.Module):
    """T5 (Raffel et al. 2020), by default as of version 1.1 (Shazeer 2020), which Flan-T5 is too.

    Parameters: embed, of both texts; encoder and decoder (nn/transformer.py:Stack), the blocks of the
    latter with cross_norm and cross; encoder_relative and decoder_relative (nn/relative.py), if
    positions are relative; head, if it is not tied.

    Attributes:
        num_layers: of the encoder; num_decoder_layers of the decoder, None is as many.
        head_dim: None is width / num_heads.
        mlp_dim: hidden size of the MLPs; None is 4 * width.
        mlp: kind of MLP, see nn/mlp.py.
        positions: "relative", a bias of the scores that all layers of a stack share, or "sinusoids",
            which are added to the embeddings.
        num_buckets, max_distance: of relative positions.
        norm: "layer" or "rms"; norm_first, pre-norm blocks, with a norm behind the last one.
        bias: in all layers and layer norms.
        scale: of the scores of attention; T5 has 1.0, None is head_dim ** -0.5.
        tied: the head is the table of embeddings.
        embed_scale: embeddings are multiplied by sqrt(width).
        logit_scale: of the hidden states before the head; T5 1.0, whose head is tied, has
            width ** -0.5.
        dropout: on the embedded texts, and on what each part of a block adds.
        scan, remat, microbatches: how the layers are compiled, see nn/transformer.py.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    width: int = 512
    num_layers: int = 8
    num_decoder_layers: int | None = None
    num_heads: int = 6
    head_dim: int | None = None
    mlp_dim: int | None = None
    mlp: mlps.Kind = "geglu"
    positions: Literal["relative", "sinusoids"] = "relative"
    num_buckets: int = 32
    max_distance: int = 128
    norm: Literal["layer", "rms"] = "rms"
    norm_epsilon: float = 1e-6
    norm_first: bool = True
    bias: bool = False
    scale: float | None = 1.0
    tied: bool = False
    embed_scale: bool = False
    logit_scale: float | None = None
    dropout: float = 0.0
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
        init = _by_fan_in(1.0)
        # Embeddings that the blocks see have a variance of 1.
        size = self.width**-0.5 if self.embed_scale else 1.0
        table = nn.initializers.normal(size)
        self.embed = Embed(self.vocabulary_size, self.width, table, **dtypes)

        norm = functools.partial(RMSNorm, epsilon=self.norm_epsilon, **dtypes)
        if self.norm == "layer":
            fields = {"epsilon": self.norm_epsilon, "use_bias": self.bias, **dtypes}
            norm = functools.partial(LayerNorm, **fields)
        attention: dict[str, Any] = {
            "head_dim": self.head_dim,
            "qkv_bias": self.bias,
            "out_bias": self.bias,
            "scale": self.scale,
            "kernel_init": init,
            # Scores have a variance of 1 at first, whatever they are multiplied by later.
            "query_init": _by_fan_in(1.0 if self.scale is None else 1.0 / self._head_dim),
            "out_init": init,
            **dtypes,
        }
        mlp = functools.partial(
            mlps.MLP,
            self.mlp_dim or 4 * self.width,
            kind=self.mlp,
            use_bias=self.bias,
            kernel_init=init,
            out_init=init,
            **dtypes,
        )
        fields = {"norm_first": self.norm_first, "dropout": self.dropout}
        cross = functools.partial(CrossAttention, self.num_heads, **attention)
        last = norm if self.norm_first else None

        def stack(num_layers, causal, **more):
            own = functools.partial(SelfAttention, self.num_heads, causal=causal, **attention)
            block = functools.partial(Block, own, mlp, norm, **fields, **more)
            compiled = (self.scan, self.remat, self.microbatches)
            return Stack(num_layers, block, last, (None,), *compiled)

        self.encoder = stack(self.num_layers, False)
        self.decoder = stack(self.num_decoder_layers or self.num_layers, True, cross=cross)
        if self.positions == "relative":
            relative = functools.partial(
                RelativeBias,
                self.num_heads,
                self.num_buckets,
                self.max_distance,
                embedding_init=nn.initializers.normal(self.width**-0.5),
                param_dtype=self.param_dtype,
            )
            self.encoder_relative = relative()
            self.decoder_relative = relative(two_sided=False)
        self.drop = nn.Dropout(self.dropout)
        if not self.tied:
            self.lm_head = Dense(
                self.vocabulary_size,
                use_bias=False,
                axes=("embed", "vocab"),
                kernel_init=init,
                out_dtype=jnp.float32,
                name="head",
                **dtypes,
            )

    def __call__(
        self,
        source: jax.Array,
        tokens: jax.Array,
        source_mask: jax.Array | None = None,
        mask: jax.Array | None = None,
        **options: Any,
    ) -> jax.Array:
        """Logits `[batch, length, vocabulary_size]` float32 of the token after each of `tokens`.

        Arguments as of `hidden`.
        """
        return self.logits(self.hidden(source, tokens, source_mask, mask, **options))

    def hidden(
        self,
        source: jax.Array,
        tokens: jax.Array,
        source_mask: jax.Array | None = None,
        mask: jax.Array | None = None,
        *,
        source_positions: jax.Array | None = None,
        positions: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """`[batch, length, width]` in `dtype`, what the head sees.

        Args:
            source: `[batch, source_length]` int32.
            tokens: `[batch, length]` int32, the target moved right by one.
            source_mask, mask: of source and tokens, `[batch, length]`: bool, True = real; or int32,
                the pair that a token of a packed row belongs to, 1 up, 0 = padding: no pair sees
                another. None: all real.
            source_positions, positions: `[batch, length]` int32; None is 0, 1, 2, ...
        """
        memory = self.encode(source, source_mask, positions=source_positions, train=train)
        look = None
        if source_mask is not None:
            source_mask, look = source_mask.astype(jnp.int32), source_mask.astype(bool)[:, None]
            if mask is not None and mask.dtype != jnp.bool:
                look = mask[..., None] == source_mask[:, None]
            look = look[:, None]
        x, view = self._embed(tokens, mask, positions, train)
        if self.positions == "relative":
            view["bias"] = self.decoder_relative(tokens.shape[1])
        return self.decoder(x, memory=memory, memory_mask=look, train=train, **view)[0]

    def encode(
        self,
        source: jax.Array,
        mask: jax.Array | None = None,
        *,
        positions: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """`[batch, source_length, width]` in `dtype`, what a source is to the decoder."""
        x, view = self._embed(source, mask, positions, train)
        if self.positions == "relative":
            view["bias"] = self.encoder_relative(source.shape[1])
        return self.encoder(x, train=train, **view)[0]

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Of the next token, `[..., vocabulary_size]` float32, from hidden states `[..., width]`."""
        if self.logit_scale is not None:
            hidden *= jnp.asarray(self.logit_scale, hidden.dtype)
        return self.embed.attend(hidden) if self.tied else self.lm_head(hidden)

    def decode(
        self,
        tokens: jax.Array,
        positions: jax.Array,
        cache: Any,
        memory: jax.Array | None = None,
        mask: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        """Logits `[batch, length, vocabulary_size]` float32, and the cache with these tokens in it.

        Args:
            tokens, positions: `[batch, length]` int32; the first token of a text, at position 0, is
                that which stands before a target (T5: padding).
            cache: of `init_cache`, or of the call before. Its part "cross" may have fewer rows than
                tokens, of which several in a row then look at one source.
            memory: of `encode`, in the first call: its keys and values go to the cache.
            mask: of memory, `[batch, source_length]` bool.
        """
        own, cross = cache["own"], cache["cross"]
        length = next(iter(own.values()))["key"].shape[-2]
        x, view = self._embed(tokens, None, positions, train=False, length=length)
        if self.positions == "relative":
            view["bias"] = self.decoder_relative(length, positions)
        look = None if mask is None else mask[:, None, None]
        layers = {name: {"attention": own[name], "cross": cross[name]} for name in own}
        view |= {"positions": positions, "memory": memory, "memory_mask": look}
        x, layers = self.decoder(x, cache=layers, **view)
        own = {name: layer["attention"] for name, layer in layers.items()}
        cross = {name: layer["cross"] for name, layer in layers.items()}
        return self.logits(x), {"own": own, "cross": cross}

    @property
    def cache_axis(self) -> int:
        """The axis of the rows in the arrays of the cache."""
        return 1 if self.scan else 0

    @nn.nowrap
    def init_cache(self, batch: int, length: int, source_length: int) -> dict[str, Any]:
        """An empty cache for `decode`: "own" of the texts to be written, "cross" of their sources.

        Zeros in `dtype`, for `length` and `source_length` positions of each row.
        """
        size = (self.num_heads, self._head_dim, self.dtype)
        parts = {
            "own": attention_cache(batch, length, *size),
            "cross": cross_attention.init_cache(batch, source_length, *size),
        }
        count = self.num_decoder_layers or self.num_layers
        if self.scan:
            return {
                part: {"blocks": {k: jnp.stack([x] * count) for k, x in layer.items()}}
                for part, layer in parts.items()
            }
        names = [f"block_{i}" for i in range(count)]
        return {part: dict.fromkeys(names, layer) for part, layer in parts.items()}

    @property
    def _head_dim(self) -> int:
        return self.head_dim or self.width // self.num_heads

    def _embed(self, tokens, mask, positions, train, length=None):
        """A text's embeddings, and what its self-attention takes; positions are below `length`."""
        x = self.embed(tokens)
        if self.embed_scale:
            x *= jnp.asarray(self.width**0.5, x.dtype)
        if self.positions == "sinusoids":
            table = jnp.asarray(sinusoids(length or tokens.shape[1], self.width), x.dtype)
            x += table[None] if positions is None else table[positions]
        x = self.drop(x, deterministic=not train)
        view: dict[str, Any] = {}
        if mask is not None:
            # Nobody looks at padding, but a NaN times a weight of 0 is NaN.
            x = jnp.where(mask.astype(bool)[..., None], x, jnp.zeros((), x.dtype))
            view["segments"] = mask.astype(jnp.int32)
        return sharding.shard(x, "batch", "length", "embed"), view


def _by_fan_in(variance: float):
    return nn.initializers.variance_scaling(variance, "fan_in", "normal")


CHOICES = {
    "positions": ("relative", "sinusoids"),
    "norm": ("layer", "rms"),
    "mlp": tuple(mlps.ACTIVATIONS),
}

# Sizes of published models come with their vocabularies; data with more tokens is refused.
_T5 = {"vocabulary_size": 32_128, "head_dim": 64, "mlp": "relu", "tied": True}
_FLAN = {"vocabulary_size": 32_128, "head_dim": 64}
# Vaswani et al. 2017: norms behind the sums, one table for both texts and the head.
_TRANSFORMER = {
    "mlp": "relu",
    "positions": "sinusoids",
    "norm": "layer",
    "norm_epsilon": 1e-5,
    "norm_first": False,
    "bias": True,
    "scale": None,
    "tied": True,
    "embed_scale": True,
}
VARIANTS = {
    "t5-small": {
        **_T5, "width": 512, "num_layers": 6, "num_heads": 8, "mlp_dim": 2048,
        "logit_scale": 512**-0.5,
    },
    "t5-base": {
        **_T5, "width": 768, "num_layers": 12, "num_heads": 12, "mlp_dim": 3072,
        "logit_scale": 768**-0.5,
    },
    "flan-t5-small": {**_FLAN, "width": 512, "num_layers": 8, "num_heads": 6, "mlp_dim": 1024},
    "flan-t5-base": {**_FLAN, "width": 768, "num_layers": 12, "num_heads": 12, "mlp_dim": 2048},
    "flan-t5-large": {**_FLAN, "width": 1024, "num_layers": 24, "num_heads": 16, "mlp_dim": 2816},
    "transformer-base": {**_TRANSFORMER, "width": 512, "num_layers": 6, "num_heads": 8},
    "tiny": {"width": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 32},
}  # fmt: skip
