"""Evaluates frozen features: how well a simple classifier on top of them tells classes apart.

"knn" lets the nearest training examples vote (Wu et al. 2018, section 3.4); "linear" fits a
multinomial logistic regression to them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.evals.passes import Pass

KINDS = ("knn", "linear")
ROWS = 1024  # compared with all training examples at once
STEPS = 300  # of L-BFGS, at most
SMALL = 1e-5  # a gradient that ends it


class Features(Pass):
    """The features of every example of a split."""

    def compute(self, task, variables, batch):
        return task.features(variables, batch)

    def collected(self, variables: Mapping) -> tuple[np.ndarray, np.ndarray]:
        """(features float32 [examples, width], labels int32 [examples]), in the data's order."""
        source, ordered = self.source, np.zeros((0, 0), np.float32)
        for step, rows in self.results(variables):
            if not ordered.size:
                ordered = np.zeros((source.examples, rows.shape[1]), np.float32)
            index = source.rows(step)
            ordered[index[index >= 0]] = rows[index >= 0]
        return ordered, np.asarray(source.labels)


class Evaluator(Features):
    """Accuracy of a classifier of features that `task.features` gives, learnt from one split.

    Args:
        kind: "knn" or "linear".
        fit_split: what the classifier is learnt from.
        neighbours, temperature: of "knn": how many vote, with the weight exp(cosine / temperature).
        penalty: of "linear": half of it times the square of the weights is added to the mean loss.
        split, task, open_source, mesh, batch_size: as of Pass.
    """

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 256,
        kind: Literal["knn", "linear"] = "knn",
        fit_split: str = "train",
        neighbours: int = 20,
        temperature: float = 0.07,
        penalty: float = 1e-4,
    ):
        if kind not in KINDS:
            raise UserError(f"A probe is of no kind {kind!r}.{nearest(kind, KINDS)}")
        if not (hasattr(task, "features") and hasattr(task.model, "features")):
            raise UserError("A probe looks at features, which this task's model has not.")
        given: dict[str, Any] = {"task": task, "open_source": open_source, "mesh": mesh}
        super().__init__(**given, split=split, batch_size=batch_size)
        self._train = Features(**given, split=fit_split, batch_size=batch_size)
        self._kind, self._neighbours, self._temperature = kind, neighbours, temperature
        self._penalty = penalty

    def run(self, variables: Mapping) -> dict[str, float]:
        """{"accuracy"}; of "linear" also "fit_accuracy", on what it was fitted to."""
        x, y = self._train.collected(variables)
        features, labels = self.collected(variables)
        classes = len(self.source.label_names)
        if self._kind == "knn":
            found = nearest_vote(x, y, features, classes, self._neighbours, self._temperature)
            return {"accuracy": float((found == labels).mean())}
        # In units of the training features' spread: the penalty then means the same for any network.
        mean, std = x.mean(0), x.std(0) + 1e-6
        weights = jax.device_get(fit_linear((x - mean) / std, y, classes, self._penalty))

        def right(features, labels):
            logits = (features - mean) / std @ weights["kernel"] + weights["bias"]
            return float((logits.argmax(-1) == labels).mean())

        return {"accuracy": right(features, labels), "fit_accuracy": right(x, y)}


def nearest_vote(
    train: np.ndarray,
    labels: np.ndarray,
    features: np.ndarray,
    classes: int,
    neighbours: int,
    temperature: float,
) -> np.ndarray:
    """The class that the nearest training examples, by cosine, vote for; int [features]."""
    neighbours = min(neighbours, len(train))

    def unit(x):
        return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)

    @jax.jit
    def vote(bank, labels, rows):
        near, index = jax.lax.top_k(unit(rows) @ bank.T, neighbours)
        weight = jnp.exp(near / temperature)
        votes = jax.nn.one_hot(labels[index], classes) * weight[..., None]
        return votes.sum(1).argmax(-1)

    bank = unit(jnp.asarray(train))
    blocks = range(0, len(features), ROWS)
    found = [np.asarray(vote(bank, labels, features[i : i + ROWS])) for i in blocks]
    return np.concatenate(found)


def fit_linear(x: np.ndarray, y: np.ndarray, classes: int, penalty: float) -> dict[str, jax.Array]:
    """The weights {"kernel" [width, classes], "bias" [classes]} of the least penalised mean loss.

    By L-BFGS over all examples at once, which needs no rate to be chosen.
    """
    solver = optax.lbfgs()

    def loss(weights, x, y):
        logits = x @ weights["kernel"] + weights["bias"]
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        return nats + 0.5 * penalty * jnp.square(weights["kernel"]).sum()

    @jax.jit
    def solve(weights, x, y):
        def value(weights):
            return loss(weights, x, y)

        def move(carry):
            weights, state, _, i = carry
            energy, grads = optax.value_and_grad_from_state(value)(weights, state=state)
            updates, state = solver.update(
                grads, state, weights, value=energy, grad=grads, value_fn=value
            )
            largest = jax.tree.reduce(jnp.maximum, jax.tree.map(lambda g: jnp.abs(g).max(), grads))
            return optax.apply_updates(weights, updates), state, largest, i + 1

        begin = weights, solver.init(weights), jnp.inf, 0
        return jax.lax.while_loop(lambda c: (c[2] > SMALL) & (c[3] < STEPS), move, begin)[0]

    zeros = {"kernel": jnp.zeros((x.shape[1], classes)), "bias": jnp.zeros(classes)}
    return solve(zeros, jnp.asarray(x, jnp.float32), jnp.asarray(y))
