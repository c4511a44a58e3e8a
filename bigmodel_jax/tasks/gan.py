"""Two players: one paints images, the other tells them from real ones (Goodfellow et al. 2014)."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import steps
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.metrics import Mean, mean
from bigmodel_jax.steps import Aux, Batch, Step, Variables
from bigmodel_jax.tasks import generative
from bigmodel_jax.tasks.labelled import normalised

PLAYERS = ("discriminator", "generator")


def _signed(images):
    """Bytes as -1 to 1."""
    return normalised(images, (0.5,), (0.5,))


class Task(generative.Task):
    """The discriminator moves, then the generator against what it has become.

    config.optimizer names both players, and each owns its part of the parameters
    (train=("generator/.*",)); config.ema keeps an average of the generator, which then paints.

    "discriminator/accuracy" is the share of real and painted images that it tells apart; near 1 it has
    won, and the generator's gradient is next to nothing.

    Args:
        kind: of the losses: "non_saturating", cross-entropy, where the generator maximises what it is
            taken for; or "hinge" (Lim and Ye 2017).
        penalty: half of it times the squared gradient of the verdict on real images by their pixels is
            added to the discriminator's loss (R1, Mescheder et al. 2018).
    """

    conditional = True

    def __init__(self, model: Any, kind: str = "non_saturating", penalty: float = 1.0):
        super().__init__(model)
        if kind not in KINDS:
            raise UserError(f"config.task.kind is {kind!r}.{nearest(kind, KINDS)}")
        self.kind, self.penalty = kind, penalty

    @property
    def noise_shape(self):
        return (self.model.latent,)

    def init(self, rng, batch):
        noise = jnp.zeros((len(batch["image"]), *self.noise_shape), jnp.float32)
        return self.model.init({"params": rng}, noise, batch["label"])

    def step(self, optimizer) -> Step:
        if not isinstance(optimizer, dict) or set(optimizer) != set(PLAYERS):
            raise UserError(
                "config.optimizer names the players of this task: dict(discriminator=dict(name=..., "
                'train=("discriminator/.*",)), generator=dict(name=..., train=("generator/.*",))).'
            )
        losses = self.discriminator_loss, self.generator_loss
        moves = zip(PLAYERS, losses, strict=True)
        return steps.chain(*(steps.gradient(loss, optimizer[p], p) for p, loss in moves))

    def discriminator_loss(
        self, variables: Variables, batch: Batch, rng: jax.Array, *, train: bool
    ) -> tuple[Mean, Aux]:
        painted, _ = self._painted(variables, batch, rng)
        on_real, on_painted = KINDS[self.kind][0]
        real, valid = _signed(batch["image"]), batch["valid"]
        verdict, squares = self._judged(variables, real, batch["label"])
        painted = self._judge(variables, painted, batch["label"])
        values = on_real(verdict) + on_painted(painted) + 0.5 * self.penalty * squares
        right = jnp.stack([verdict > 0, painted < 0])
        metrics = {"accuracy": mean(right, valid), "penalty": mean(squares, valid)}
        return mean(values, valid), Aux(metrics)

    def generator_loss(
        self, variables: Variables, batch: Batch, rng: jax.Array, *, train: bool
    ) -> tuple[Mean, Aux]:
        painted, updates = self._painted(variables, batch, rng)
        verdict = self._judge(variables, painted, batch["label"])
        return mean(KINDS[self.kind][1](verdict), batch["valid"]), Aux({}, updates)

    def paint(self, variables, noise, labels):
        given = {k: variables[k] for k in ("params", "batch_stats")}
        return 0.5 * (self.model.apply(given, noise, labels, method="generate") + 1)

    def _painted(self, variables, batch, rng):
        """(an image for each label of the batch, new batch statistics)."""
        given = {k: variables[k] for k in ("params", "batch_stats")}
        noise = jax.random.normal(rng, (len(batch["label"]), *self.noise_shape))
        options: dict[str, Any] = {"train": True, "mask": batch["valid"], "method": "generate"}
        return self.model.apply(given, noise, batch["label"], mutable=["batch_stats"], **options)

    def _judge(self, variables, images, labels):
        return self.model.apply({"params": variables["params"]}, images, labels, method="judge")

    def _judged(self, variables, images, labels):
        """(verdicts, the squared length of the gradient of each by its image), [batch] each."""
        # Rows do not meet in the discriminator: the gradient of the sum is that of each.
        verdicts, back = jax.vjp(lambda x: self._judge(variables, x, labels), images)
        (slopes,) = back(jnp.ones_like(verdicts))
        return verdicts, jnp.square(slopes).sum((1, 2, 3))


# Of each kind ((the discriminator's loss on real images, on painted ones), the generator's), of logits.
KINDS = {
    "non_saturating": (
        (lambda x: jax.nn.softplus(-x), jax.nn.softplus),
        lambda x: jax.nn.softplus(-x),
    ),
    "hinge": ((lambda x: jax.nn.relu(1 - x), lambda x: jax.nn.relu(1 + x)), jnp.negative),
}
