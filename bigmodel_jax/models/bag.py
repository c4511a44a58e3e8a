"""A bag of features: one vector for each id of a text, pooled, and a linear head.

With hashed word n-grams (`data/tokenizers/ngrams.py`) it is one of three well-known classifiers:

    width=None                      multinomial logistic regression over n-grams
    width=None, naive_bayes=True    the same over naive-Bayes features (Wang and Manning 2012,
                                    "Baselines and Bigrams"); train it by tasks/nb_classify.py
    width=64                        fastText (Joulin et al. 2016)
"""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.linear import Dense, Embed


class Model(nn.Module):
    """Classifies a text by the sum or mean of its features' vectors; their order is of no account.

    Attributes:
        width: of a feature's vector; None makes it a score for each class, which need no head but
            a bias.
        pooling: "mean", "sum", or "sqrt", the sum over the square root of the number of features,
            by which long texts count for more than short ones, but not in proportion.
        dropout: the probability that a whole feature is left out while training.
        naive_bayes: multiplies each feature's scores by its log-count ratios, which are not
            trained: variables["naive_bayes"]["ratios"] `[vocabulary_size, num_classes]`, ones until
            something sets them. Needs width=None.
        scale: with naive_bayes, the scores before training, equal for all features: the start is
            naive Bayes itself. Without it the start is zero or, with a width, random.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    width: int | None = None
    pooling: Literal["mean", "sum", "sqrt"] = "mean"
    dropout: float = 0.0
    naive_bayes: bool = False
    scale: float = 1.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, mask: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `[batch, num_classes]` float32 of ids `[batch, length]`, mask True = real."""
        if self.naive_bayes and self.width is not None:
            raise UserError("config.model: a bag with naive_bayes=True has no width; leave it out.")
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        if self.width is not None:
            vectors = Embed(self.vocabulary_size, self.width, name="embed", **dtypes)(tokens)
            head = Dense(self.num_classes, axes=("embed", "classes"), name="head", **dtypes)
            return head(self._pool(vectors, mask, train)).astype(jnp.float32)
        shape = (self.vocabulary_size, self.num_classes)
        start = nn.initializers.constant(self.scale if self.naive_bayes else 0.0)
        start = sharding.axes(start, "vocab", "classes")
        table = self.param("embedding", start, shape, self.param_dtype)
        scores = jnp.take(table, tokens, axis=0, mode="fill")
        if self.naive_bayes:
            ones = sharding.axes(nn.initializers.ones, "vocab", "classes")
            ratios = self.variable("naive_bayes", "ratios", ones, None, shape, jnp.float32)
            scores *= jnp.take(ratios.value, tokens, axis=0, mode="fill")
        zeros = sharding.axes(nn.initializers.zeros, "classes")
        bias = self.param("bias", zeros, (self.num_classes,), self.param_dtype)
        return self._pool(scores.astype(self.dtype), mask, train) + bias.astype(jnp.float32)

    def _pool(self, vectors, mask, train):
        """`[batch, length, width]` to `[batch, width]` float32, without the dropped features."""
        kept = mask.astype(jnp.float32)
        count = jnp.maximum(kept.sum(1, keepdims=True), 1.0)
        if train and self.dropout:
            rate = 1.0 - self.dropout
            chosen = jax.random.bernoulli(self.make_rng("dropout"), rate, mask.shape)
            kept *= chosen.astype(jnp.float32) / rate
        # Padding may hold anything: a product with 0 would let its NaN through.
        vectors = jnp.where(mask[..., None], vectors.astype(jnp.float32), 0.0)
        total = (vectors * kept[..., None]).sum(1)
        return {"sum": total, "mean": total / count, "sqrt": total / jnp.sqrt(count)}[self.pooling]


VARIANTS = {
    "fasttext": {"width": 64},
    "naive_bayes": {"naive_bayes": True, "pooling": "sqrt", "scale": 0.1, "dropout": 0.5},
    "tiny": {"width": 8},
}
