"""An encoder: BERT and RoBERTa, pre-norm if asked, under four heads.

Masked words, a class of the text, a tag for each token, the ends of a span; the same network has the
same parameter paths under each.
"""

import functools
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
from bigmodel_jax.nn.norm import LayerNorm
from bigmodel_jax.nn.pooling import Pool
from bigmodel_jax.nn.positions import rotation
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.transformer import Block, Remat, Stack


class Model(nn.Module):
    """BERT (Devlin et al. 2019): what a text's tokens mean in both their contexts.

    Parameters: embed; positions, if learned; types, if there are any; embed_norm; encoder
    (nn/transformer.py:Stack); mlm (dense, norm, bias), the masked-word head over the table of
    embeddings; pooler, for a class from the first token; pool, if pooling is "attention"; classifier.

    Attributes:
        head: "lm", masked words; "classify", "tag" or "span"; "pooled", what a classifier would see.
        num_classes: of "classify" and "tag"; the classes of "span" are a span's start and its end.
        max_length: of a text; only learned positions have an end.
        num_types: of kinds of tokens, as of the first and the second text of a pair.
        mlp_dim: hidden size of the MLPs; None is 4 * width.
        mlp: kind of MLP, see nn/mlp.py.
        positions: "learned", a table that is added, or "rope", see nn/positions.py.
        position_offset: rows of the learned table that are never used (RoBERTa: 2).
        norm_first: pre-norm blocks, with a norm behind the last in place of that of the embeddings.
        pooling: of the hidden states for a class: "first" puts BERT's pooler, a dense layer and
            `pooler_activation`, on the first token; the others (nn/pooling.py) go to the classifier
            as they are.
        dropout: on the embedded text, on what each half of a block adds, on what the classifier sees.
        embed_dropout, word_dropout: see nn/disturb.py.
        scan, remat, microbatches: how the layers are compiled, see nn/transformer.py.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    head: Literal["lm", "classify", "tag", "span", "pooled"] = "lm"
    max_length: int = 512
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_dim: int | None = None
    mlp: mlps.Kind = "gelu"
    num_types: int = 2
    positions: Literal["learned", "rope"] = "learned"
    position_offset: int = 0
    rope_theta: float = 10_000.0
    norm_first: bool = False
    norm_epsilon: float = 1e-12
    pooling: Literal["first", "mean", "max", "attention"] = "first"
    pooler_activation: Literal["tanh", "relu"] = "tanh"
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
        self.embed = Embed(self.vocabulary_size, self.width, init, **dtypes)
        if self.positions == "learned":
            size = (self.max_length + self.position_offset, self.width)
            self.table = Embed(*size, init, axis="positions", name="positions", **dtypes)
        if self.num_types:
            self.types = Embed(self.num_types, self.width, init, axis=None, **dtypes)

        norm = functools.partial(LayerNorm, epsilon=self.norm_epsilon, **dtypes)
        fields = {"kernel_init": init, "out_init": init, **dtypes}
        size = self.mlp_dim or 4 * self.width
        block = functools.partial(
            Block,
            attention=functools.partial(SelfAttention, self.num_heads, **fields),
            mlp=functools.partial(mlps.MLP, size, kind=self.mlp, **fields),
            norm=norm,
            norm_first=self.norm_first,
            dropout=self.dropout,
        )
        if not self.norm_first:
            self.embed_norm = norm()
        last = norm if self.norm_first else None
        compiled = (self.scan, self.remat, self.microbatches)
        self.encoder = Stack(self.num_layers, block, last, (None,), *compiled)

        self.drop = nn.Dropout(self.dropout)
        if self.head == "lm":
            self.mlm = MaskedWords(self.vocabulary_size, self.norm_epsilon, **dtypes)
            return
        if self.head in ("classify", "pooled"):
            self.pool = Pool(self.pooling, **dtypes)
            if self.pooling == "first":
                axes = ("embed", "hidden")
                self.pooler = Dense(self.width, axes=axes, kernel_init=init, **dtypes)
        if self.head == "pooled":
            return
        fields = {"kernel_init": init, "out_dtype": jnp.float32, **dtypes}
        classes = 2 if self.head == "span" else self.num_classes
        self.classifier = Dense(classes, axes=("embed", "classes"), **fields)

    def __call__(
        self,
        tokens: jax.Array,
        mask: jax.Array | None = None,
        *,
        positions: jax.Array | None = None,
        types: jax.Array | None = None,
        train: bool = False,
        presence: jax.Array | None = None,
    ) -> jax.Array:
        """Logits, float32: `[batch, length, vocabulary_size]` of the word that stands, or stood, at
        each place; of a class `[batch, num_classes]`; of tags `[batch, length, num_classes]`; of the
        start and the end of a span `[batch, length, 2]`. Or the pooled text, `[batch, width]`.

        Args:
            tokens: `[batch, length]` int32.
            mask: `[batch, length]`: bool, True = real; or int32, the document that a token of a
                packed row belongs to, 1 up, 0 = padding: no document sees another. None: all real.
            positions: `[batch, length]` int32; None is 0, 1, 2, ...
            types: `[batch, length]` int32; None is 0 everywhere.
            presence: `[batch, length]` float32, a factor of each token's embedding, for
                explanations; None is 1 everywhere.
        """
        fields = {"positions": positions, "types": types, "train": train, "presence": presence}
        x = self.hidden(tokens, mask, **fields)
        if self.head == "lm":
            return self.logits(x)
        if self.head in ("classify", "pooled"):
            real = jnp.ones(tokens.shape, bool) if mask is None else mask.astype(bool)
            x = self.pool(x, real)
            if self.pooling == "first":
                x = POOLERS[self.pooler_activation](self.pooler(x))
        if self.head == "pooled":
            return x
        return self.classifier(self.drop(x, deterministic=not train))

    def hidden(
        self,
        tokens: jax.Array,
        mask: jax.Array | None = None,
        *,
        positions: jax.Array | None = None,
        types: jax.Array | None = None,
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
        x, view = self._embed(tokens, positions, types, presence, train)
        if mask is not None:
            # Nobody looks at padding, but a NaN times a weight of 0 is NaN.
            x = jnp.where(mask.astype(bool)[..., None], x, jnp.zeros((), x.dtype))
            view["segments"] = mask.astype(jnp.int32)
        return self.encoder(x, train=train, **view)[0]

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Of the word at each place, `[..., vocabulary_size]` float32, from `[..., width]`."""
        return self.mlm(hidden, self.embed.attend)

    @nn.compact
    def _embed(self, tokens, positions, types, presence, train):
        x = self.embed(tokens)
        rates = {"word_dropout": self.word_dropout, "embed_dropout": self.embed_dropout}
        x = disturb(x, presence, train=train, **rates)
        view: dict[str, Any] = {}
        if self.positions == "learned":
            x += self.table(positions + self.position_offset)
        else:
            view["rotation"] = rotation(positions, self.width // self.num_heads, self.rope_theta)
        if self.num_types:
            x += self.types(jnp.zeros_like(tokens) if types is None else types)
        if not self.norm_first:
            x = self.embed_norm(x)
        x = self.drop(x, deterministic=not train)
        return sharding.shard(x, "batch", "length", "embed"), view


class MaskedWords(nn.Module):
    """BERT's head for masked words: a dense layer, GELU, a norm, the table of embeddings, a bias.

    Parameters: dense, norm, bias `[vocabulary_size]`.
    """

    vocabulary_size: int
    epsilon: float
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, attend) -> jax.Array:
        """`[..., width]` to `[..., vocabulary_size]` float32, where `attend` is that of Embed."""
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        init = nn.initializers.normal(0.02)
        x = Dense(x.shape[-1], axes=("embed", None), kernel_init=init, name="dense", **dtypes)(x)
        x = LayerNorm(self.epsilon, name="norm", **dtypes)(mlps.gelu(x))
        zeros = sharding.axes(nn.initializers.zeros, "vocab")
        bias = self.param("bias", zeros, (self.vocabulary_size,), self.param_dtype)
        return attend(x) + bias.astype(jnp.float32)


POOLERS = {"tanh": jnp.tanh, "relu": nn.relu}
CHOICES = {
    "head": ("lm", "classify", "tag", "span", "pooled"),
    "positions": ("learned", "rope"),
    "mlp": tuple(mlps.ACTIVATIONS),
    "pooling": ("first", "mean", "max", "attention"),
    "pooler_activation": tuple(POOLERS),
}

# Sizes of published models come with their vocabularies; data with more tokens is refused.
_BASE = {"width": 768, "num_layers": 12, "num_heads": 12}
_LARGE = {"width": 1024, "num_layers": 24, "num_heads": 16}
_ROBERTA = {
    "vocabulary_size": 50_265,
    "num_types": 1,
    "position_offset": 2,
    "norm_epsilon": 1e-5,
}
VARIANTS = {
    "bert-base": {**_BASE, "vocabulary_size": 30_522},
    "bert-large": {**_LARGE, "vocabulary_size": 30_522},
    "roberta-base": {**_BASE, **_ROBERTA},
    "roberta-large": {**_LARGE, **_ROBERTA},
    "distilbert": {
        **_BASE,
        "vocabulary_size": 30_522,
        "num_layers": 6,
        "num_types": 0,
        "pooler_activation": "relu",
    },
    "tiny": {"width": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 32, "max_length": 64},
}
