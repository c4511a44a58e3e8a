"""A bag of n-grams: the set of a text's word n-grams, a vector for each, pooled, a linear head.

It is one of three well-known classifiers:

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
from bigmodel_jax.nn.ngrams import distinct_ngrams

LIMIT = 2**27  # scores
BYTES = 50  # of memory a score takes at most while it is trained, as measured: of a CPU run


class Model(nn.Module):
    """Classifies a text by its distinct n-grams; how often they occur is of no account.

    Where they stand is of none either, but for the `ending`.

    Attributes:
        n: words in the longest n-gram.
        buckets: ids that n-grams are hashed to.
        width: of a feature's vector; None makes it a score for each class, which need no head but
            a bias.
        pooling: "mean", "sum", or "sqrt", the sum over the square root of the number of features,
            by which long texts count for more than short ones, but not in proportion.
        ending: how many of the last tokens count more; a review ends with its verdict.
        ending_weight: what the n-grams of the ending add to their weight, which is 1.
        dropout: the probability that a whole feature is left out while training.
        naive_bayes: multiplies each feature's scores by its log-count ratios, which are not
            trained: variables["naive_bayes"]["ratios"] `[buckets, num_classes]`, ones until
            something sets them. Needs width=None.
        scale: with naive_bayes, the scores before training, equal for all features: the start is
            naive Bayes itself. Without it the start is zero or, with a width, random.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    n: int = 2
    buckets: int = 2**20
    width: int | None = None
    pooling: Literal["mean", "sum", "sqrt"] = "mean"
    ending: int = 0
    ending_weight: float = 0.5
    dropout: float = 0.0
    naive_bayes: bool = False
    scale: float = 1.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def features(self, tokens: jax.Array, mask: jax.Array, presence: jax.Array | None = None):
        """(ids, which of them count, their presence) `[batch, features]`; see nn/ngrams.py."""
        return distinct_ngrams(tokens, mask, self.n, self.buckets, presence)

    @nn.compact
    def __call__(
        self,
        tokens: jax.Array,
        mask: jax.Array,
        *,
        train: bool = False,
        presence: jax.Array | None = None,
    ) -> jax.Array:
        """Logits `[batch, num_classes]` float32 of ids `[batch, length]`, mask True = real."""
        if self.naive_bayes and self.width is not None:
            raise UserError("config.model: a bag with naive_bayes=True has no width; leave it out.")
        if self.width is None and self.buckets * self.num_classes > LIMIT:
            fitting = 1 << (LIMIT // self.num_classes).bit_length() - 1
            raise UserError(
                f"config.model: scores of {self.buckets:,} buckets for {self.num_classes:,} classes "
                f"take up to {self.buckets * self.num_classes * BYTES / 1e9:.0f} GB to train. Take a "
                f"model that embeds words, such as textcnn, or set --config.model.buckets={fitting}."
            )
        ids, counts, share = self.features(tokens, mask, presence)
        weights = counts.astype(jnp.float32) if share is None else jnp.where(counts, share, 0.0)
        number = jnp.maximum(counts.sum(1, keepdims=True).astype(jnp.float32), 1.0)
        if self.ending:
            last = _last(self.ending, mask, tokens, presence)
            more, counts, share = self.features(*last)
            added = counts.astype(jnp.float32) if share is None else jnp.where(counts, share, 0.0)
            ids = jnp.concatenate([ids, more], axis=1)
            weights = jnp.concatenate([weights, self.ending_weight * added], axis=1)
        if train and self.dropout:
            rate = 1.0 - self.dropout
            chosen = jax.random.bernoulli(self.make_rng("dropout"), rate, weights.shape)
            weights *= chosen.astype(jnp.float32) / rate
        weights /= {"sum": 1.0, "mean": number, "sqrt": jnp.sqrt(number)}[self.pooling]

        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        if self.width is not None:
            vectors = Embed(self.buckets, self.width, name="embed", **dtypes)(ids)
            pooled = (vectors.astype(jnp.float32) * weights[..., None]).sum(1)
            head = Dense(self.num_classes, axes=("embed", "classes"), name="head", **dtypes)
            return head(pooled).astype(jnp.float32)
        shape = (self.buckets, self.num_classes)
        start = nn.initializers.constant(self.scale if self.naive_bayes else 0.0)
        start = sharding.axes(start, "vocab", "classes")
        table = self.param("embedding", start, shape, self.param_dtype)
        scores = jnp.take(table, ids, axis=0, mode="clip").astype(self.dtype)
        if self.naive_bayes:
            ones = sharding.axes(nn.initializers.ones, "vocab", "classes")
            ratios = self.variable("naive_bayes", "ratios", ones, None, shape, jnp.float32)
            scores *= jnp.take(ratios.value, ids, axis=0, mode="clip").astype(self.dtype)
        zeros = sharding.axes(nn.initializers.zeros, "classes")
        bias = self.param("bias", zeros, (self.num_classes,), self.param_dtype)
        total = (scores.astype(jnp.float32) * weights[..., None]).sum(1)
        return total + bias.astype(jnp.float32)


def _last(count, mask, tokens, presence):
    """(tokens, mask, presence) of the last `count` real tokens of each row, padded at the end."""
    lengths = mask.sum(1, keepdims=True)
    index = jnp.maximum(lengths - count, 0) + jnp.arange(count)
    real, index = index < lengths, jnp.minimum(index, mask.shape[1] - 1)
    presence = None if presence is None else jnp.take_along_axis(presence, index, axis=1)
    return jnp.take_along_axis(tokens, index, axis=1), real, presence


VARIANTS = {
    "fasttext": {"width": 64},
    "naive_bayes": {"n": 3, "naive_bayes": True, "pooling": "sqrt", "scale": 0.1, "dropout": 0.5},
    "tiny": {"buckets": 1024, "width": 8},
}
