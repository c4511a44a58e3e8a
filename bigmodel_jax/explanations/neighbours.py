"""Which training examples look to a model most like one it is asked about.

By the cosine of what the model's classifier is given. Similar there is not why the model answers as it
does, but it shows what it takes for the same: a wrong neighbour is often a wrong label.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.probe import Features
from bigmodel_jax.explanations.answers import Neighbour
from bigmodel_jax.nn.watched import watched

CLASSIFIERS = ("head", "classifier")  # the last layer of the package's models, by the model


def embed(task: Any, variables: Any, batch: Any) -> jax.Array:
    """What the model's last layer is given, [batch, width] float32.

    Raises:
        UserError: the model has no such layer.
    """
    with watched(*CLASSIFIERS) as given:
        task.logits(variables, batch)
    if not given or given[-1].ndim != 2:
        raise UserError(
            "--neighbours compares what a model's last layer is given, called 'head' or 'classifier', and "
            "this model has none: leave it out."
        )
    return given[-1].astype(jnp.float32)


class TrainingSet(Features):
    """The examples of a split, and what the model makes of each."""

    def compute(self, task, variables, batch):
        return embed(task, variables, batch)

    def remember(self, variables: Any) -> None:
        """Goes through the split once; what is kept is float32 [examples, width]."""
        features, self._labels = self.collected(variables)
        self._bank = _unit(features)

    def nearest(self, features: np.ndarray, count: int) -> list[list[Neighbour]]:
        """Of each row of `features` the `count` nearest, the nearest first."""
        near = _unit(features) @ self._bank.T
        count = min(count, near.shape[1])
        return [self._named(row, np.argsort(-row, kind="stable")[:count]) for row in near]

    def _named(self, similarity, chosen):
        read = self.source.images if hasattr(self.source, "images") else self.source.texts
        examples = read(chosen)
        return [
            Neighbour(float(similarity[i]), self._label(self._labels[i]), example)
            for i, example in zip(chosen, examples, strict=True)
        ]

    def _label(self, label) -> str:
        names = self.source.label_names
        if np.ndim(label):
            return ", ".join(names[i] for i in np.flatnonzero(label)) or "no label"
        return names[label] if np.issubdtype(label.dtype, np.integer) else f"{label:.4g}"


def _unit(features):
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
