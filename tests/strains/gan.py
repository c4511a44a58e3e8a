"""A GAN: two optimizers, batch normalisation, an EMA of the generator, one move in two for it."""

import jax
import jax.numpy as jnp

from bigmodel_jax import steps
from bigmodel_jax.losses import sigmoid_cross_entropy
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base


class Task(base.Task):
    def noise(self, rng, batch):
        return jax.random.normal(rng, (batch["x"].shape[0], self.model.latent))

    def init(self, rng, batch):
        variables = self.model.init({"params": rng}, self.noise(rng, batch), train=True)
        return {**variables, "ema": variables["params"]}

    def fakes(self, variables, batch, rng):
        given = {k: v for k, v in variables.items() if k != "ema"}
        noise = self.noise(rng, batch)
        return self.model.apply(
            given, noise, train=True, method="generate", mutable=["batch_stats"]
        )

    def judge(self, variables, x):
        return self.model.apply({"params": variables["params"]}, x, method="judge")

    def discriminator_loss(self, variables, batch, rng, *, train):
        fake, _ = self.fakes(variables, batch, rng)
        real, fake = self.judge(variables, batch["x"]), self.judge(variables, fake)
        values = sigmoid_cross_entropy(real, jnp.ones_like(real))
        values += sigmoid_cross_entropy(fake, jnp.zeros_like(fake))
        return mean(values), Aux({"real": mean(real > 0)})

    def generator_loss(self, variables, batch, rng, *, train):
        fake, updates = self.fakes(variables, batch, rng)
        logits = self.judge(variables, fake)
        return mean(sigmoid_cross_entropy(logits, jnp.ones_like(logits))), Aux({}, dict(updates))

    def step(self, optimizer):
        return steps.chain(
            steps.gradient(self.discriminator_loss, optimizer["discriminator"], "discriminator"),
            steps.every(
                2, steps.gradient(self.generator_loss, optimizer["generator"], "generator")
            ),
            steps.ema(0.99),
        )


def config(**changes):
    adam = dict(name="adam", lr=5e-3, b1=0.5)
    return dict(
        duration="12 steps",
        log_every="4 steps",
        data=dict(name="tests.strains.toy_data"),
        model=dict(name="tests.strains.networks"),
        task=dict(name="tests.strains.gan"),
        optimizer=dict(
            generator=dict(adam, train=("generator/.*",)),
            discriminator=dict(adam, train=("discriminator/.*",)),
        ),
        checkpoint=dict(every="4 steps"),
        **changes,
    )
