"""Images as grids of codes, and what codes usually follow one another (van den Oord et al. 2017)."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses, steps
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import Mean, mean
from bigmodel_jax.steps import Aux, Batch, Step, Variables
from bigmodel_jax.tasks import generative
from bigmodel_jax.tasks.labelled import normalised

PLAYERS = ("codes", "prior")


class Task(generative.Task):
    """The autoencoder moves, then the prior by the codes that it gives.

    config.optimizer names both players: "codes" has train=("encoder/.*", "decoder/.*"), "prior"
    train=("prior/.*",). A schedule that lets the first come to rest early leaves the other codes that stay.

    "codes/perplexity" is that of the codes of a batch: as many codes used alike have it. "codes/unused" is
    the share of codes that no image of a batch has.

    Args:
        commitment: what the distance of vectors from their codes counts for, beside the cross-entropy of a
            pixel in nats.
    """

    mutable = ("codebook",)
    conditional, evaluator = True, "codes"

    def __init__(self, model: Any, commitment: float = 0.25):
        super().__init__(model)
        self.commitment = commitment

    @property
    def noise_shape(self):
        return self.model.places, self.model.codes

    def inputs(self, batch):
        return normalised(batch["image"], None, None), batch["label"]

    def step(self, optimizer) -> Step:
        if not isinstance(optimizer, dict) or set(optimizer) != set(PLAYERS):
            raise UserError(
                'config.optimizer names the players of this task: dict(codes=dict(name=..., train=("encoder/'
                '.*", "decoder/.*")), prior=dict(name=..., train=("prior/.*",))).'
            )
        moves = zip(PLAYERS, (self.codes_loss, self.prior_loss), strict=True)
        return steps.chain(*(steps.gradient(loss, optimizer[p], p) for p, loss in moves))

    def loss(self, variables, batch, rng, *, train):
        """The autoencoder's, with that of the prior, in nats a code, among the metrics."""
        value, aux = self.codes_loss(variables, batch, rng, train=train)
        prior, _ = self.prior_loss(variables, batch, rng, train=train)
        return value, Aux({**aux.metrics, "prior": prior}, aux.updates)

    def codes_loss(
        self, variables: Variables, batch: Batch, rng: jax.Array, *, train: bool
    ) -> tuple[Mean, Aux]:
        (logits, index, off), updates = self.apply(
            variables, batch, rng, train=train, mask=batch["valid"]
        )
        image, valid = self.inputs(batch)[0], batch["valid"]
        nats = losses.sigmoid_cross_entropy(logits, image).mean((1, 2, 3))
        errors = jnp.square(jax.nn.sigmoid(logits) - image).mean((1, 2, 3))
        shares = self.counts(index, valid)
        shares /= jnp.maximum(shares.sum(), 1)
        perplexity = jnp.exp(-(shares * jnp.log(jnp.maximum(shares, 1e-9))).sum())
        metrics = {"error": mean(errors, valid), "perplexity": mean(perplexity)}
        metrics["unused"] = mean(shares == 0)
        return mean(nats + self.commitment * off, valid), Aux(metrics, updates)

    def prior_loss(
        self, variables: Variables, batch: Batch, rng: jax.Array, *, train: bool
    ) -> tuple[Mean, Aux]:
        index = jax.lax.stop_gradient(self.encode(variables, batch))
        logits = self._of(variables, "foretell", index, batch["label"])
        nats = losses.softmax_cross_entropy(logits, index)
        return mean(nats, batch["valid"][:, None]), Aux()

    def encode(self, variables: Variables, batch: Batch) -> jax.Array:
        """The codes of images, `[batch, places]` int32."""
        return self._of(variables, "encode", normalised(batch["image"], None, None))

    def counts(self, index: jax.Array, valid: jax.Array) -> jax.Array:
        """How often each code occurs in real rows, `[codes]` float32."""
        real = valid[:, None, None].astype(jnp.float32)
        return (jax.nn.one_hot(index, self.model.codes) * real).sum((0, 1))

    def reconstruct(self, variables: Variables, batch: Batch) -> jax.Array:
        """Images from their codes; as `paint`."""
        return jax.nn.sigmoid(self._of(variables, "decode", self.encode(variables, batch)))

    def paint(self, variables, noise, labels):
        index = self._of(variables, "write", labels, gumbel(noise))
        return jax.nn.sigmoid(self._of(variables, "decode", index))

    def _of(self, variables, method, *inputs):
        given = {k: variables[k] for k in ("params", "codebook")}
        return self.model.apply(given, *inputs, method=method)


def gumbel(noise: jax.Array) -> jax.Array:
    """Normal noise as that of Gumbel's distribution, each value where as much of it lies below.

    The largest of logits and such noise is a draw by the softmax of the logits.
    """
    chance = jnp.clip(jax.scipy.stats.norm.cdf(noise), 1e-7, 1 - 1e-7)
    return -jnp.log(-jnp.log(chance))
