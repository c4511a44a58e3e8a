"""Integrated gradients: what each token of a text, or pixel of an image, adds to a model's answer.

Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks". Let F(s) be the answer
where the embedding of token t is multiplied by s_t. The baseline s = 0 is a text of the same length
whose tokens say nothing: every embedding is zero, every position is kept. On the straight line from
there to the text itself, s = 1, the attribution of token t is

    the integral over a from 0 to 1 of dF/ds_t at s = (a, a, ..., a)

which is the paper's, summed over the dimensions of the token's embedding. Of an image s multiplies the
model's input, pixel by pixel, in all channels: the baseline has the mean colour of the training images,
which a model gets as zeros. Attributions add up to
F(1) - F(0), exactly for the integral (completeness): how far the sum over finitely many points is
from it says whether they were enough.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

TOLERANCE = 0.01
# Two less than powers of two: both ends are computed with them.
POINTS = (14, 30, 62, 126, 254, 510)


class Attribution(NamedTuple):
    """An answer taken apart.

    Attributes:
        values: what each token adds, float64 [tokens]; each pixel, [height, width].
        at_input, at_baseline: F(1) and F(0).
        points: of the quadrature.
    """

    values: np.ndarray
    at_input: float
    at_baseline: float
    points: int

    @property
    def difference(self) -> float:
        """What the values add up to but for the quadrature's error."""
        return self.at_input - self.at_baseline

    @property
    def residual(self) -> float:
        """How far their sum is from that."""
        return float(self.values.sum()) - self.difference

    @property
    def complete(self) -> bool:
        """Whether the residual is small: at most 1% of the difference.

        Or, where large attributions cancel to a small difference, 0.1% of the sum of their sizes.
        """
        scale = max(abs(self.difference), 0.1 * float(np.abs(self.values).sum()))
        return abs(self.residual) <= TOLERANCE * scale


def score(logits: jax.Array, label: jax.Array, independent: bool) -> jax.Array:
    """The log-odds of a label, log(p / (1 - p)), float32 [batch].

    They add where evidence adds, while probabilities flatten out near 0 and 1, where every
    attribution would vanish. Of a softmax they are the label's logit less the logsumexp of all
    others (of two classes: less the other), which does not change when all logits rise together.

    Args:
        logits: [batch, classes].
        label: which class, an integer.
        independent: each class has a probability of its own (a sigmoid): the logit as it is.
    """
    chosen = jnp.arange(logits.shape[-1]) == label
    value = jnp.where(chosen, logits, 0.0).sum(-1)
    if independent:
        return value
    return value - jax.nn.logsumexp(jnp.where(chosen, -jnp.inf, logits), axis=-1)


def make_scores(task: Any) -> Callable:
    """`(variables, batch, s, label) -> F [batch]`, to be jitted.

    F is the log-odds of the label, or the number that a regression predicts; s is [batch, length] of
    "tokens", [batch, height, width] of an "image".
    """
    target = getattr(task, "target", "class")
    independent = target == "labels" or getattr(task, "kind", "") == "sigmoid"

    def scores(variables, batch, presence, label):
        logits = task.logits(variables, batch, presence)
        if target == "number":  # the model's output is standardised
            scaling = variables["scaling"]
            return logits[:, 0] * scaling["deviation"] + scaling["mean"]
        return score(logits, label, independent)

    return scores


def make_slopes(task: Any) -> Callable:
    """`(variables, batch, alphas [batch], label) -> (F [batch], dF/ds)`, to be jitted.

    Row i of the batch is computed at s = alphas[i]; F and the shape of s are those of `make_scores`.
    """
    scores = make_scores(task)

    def slopes(variables, batch, alphas, label):
        def total(presence):
            values = scores(variables, batch, presence, label)
            return values.sum(), values

        places = batch["image"].shape[:-1] if "image" in batch else batch["tokens"].shape
        presence = jnp.broadcast_to(alphas.reshape(-1, *[1] * (len(places) - 1)), places)
        gradients, values = jax.grad(total, has_aux=True)(presence)
        return values, gradients

    return slopes


def attribute(slopes: Callable, rows: int, points: tuple[int, ...] = POINTS) -> Attribution:
    """Integrates, with more and more points until the attributions add up as they should.

    Gauss-Legendre quadrature: exact for polynomials of degree 2 * points - 1, such as bags of
    n-grams, and with points close together near 0, where layer normalisation bends sharply.

    Args:
        slopes: `(alphas [rows] float32) -> (F [rows], dF/ds [rows, ...])`.
        rows: how many points are computed at once.
        points: numbers of points to try, one after another.
    """
    found = Attribution(np.zeros(0), np.nan, np.nan, 0)
    for count in points:
        nodes, weights = _legendre(count)
        alphas, weights = np.concatenate([[1.0, 0.0], nodes]), np.concatenate([[0.0, 0.0], weights])
        more = -len(alphas) % rows
        alphas = np.pad(alphas, (0, more), mode="edge").astype(np.float32).reshape(-1, rows)
        values, total = [], 0.0
        for part, share in zip(alphas, np.pad(weights, (0, more)).reshape(-1, rows), strict=True):
            (value, gradients), used = slopes(part), share > 0
            values.extend(np.asarray(value, np.float64))
            total += np.tensordot(share[used], np.asarray(gradients, np.float64)[used], 1)
        found = Attribution(np.asarray(total), float(values[0]), float(values[1]), count)
        if found.complete:
            break
    return found


@functools.cache
def _legendre(count):
    """(nodes, weights) of the quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2
