"""A classifier with batch normalisation, for accumulation and meshes."""

from bigmodel_jax.losses import softmax_cross_entropy
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base
from tests.strains.networks import Net


class Model(Net):
    features: int = 2


class Task(base.Task):
    def inputs(self, batch):
        return (batch["x"],)

    def loss(self, variables, batch, rng, *, train):
        logits, updates = self.apply(variables, batch, rng, train=train)
        values = softmax_cross_entropy(logits, batch["label"])
        return mean(values), Aux({"accuracy": mean(logits.argmax(-1) == batch["label"])}, updates)


def config(**changes):
    base_config = dict(
        duration="12 steps",
        log_every="4 steps",
        data=dict(name="tests.strains.toy_data", batch_size=32),
        model=dict(name="tests.strains.batch_norm"),
        task=dict(name="tests.strains.batch_norm"),
        optimizer=dict(name="sgd", lr=0.1, momentum=0.9),
        checkpoint=dict(every="4 steps"),
    )
    return {**base_config, **changes}
