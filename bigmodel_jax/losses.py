"""Losses an element; the mean over what is real is taken by the task (see metrics.mean)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def softmax_cross_entropy(
    logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0
) -> jax.Array:
    """Cross-entropy [...] of integer labels [...] under softmax(logits [..., classes]), in nats.

    With smoothing s the target is 1 - s for the label and s / classes spread over all classes
    (Szegedy et al. 2016, eq. 4).
    """
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    chosen = jnp.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    return -(1 - label_smoothing) * chosen - label_smoothing * log_p.mean(-1)


def focal(
    logits: jax.Array, labels: jax.Array, gamma: float, label_smoothing: float = 0.0
) -> jax.Array:
    """`softmax_cross_entropy` times (1 - p)^gamma, p the label's probability (Lin et al. 2017, eq. 4)."""
    p = jnp.exp(-softmax_cross_entropy(logits, labels))
    return (1 - p) ** gamma * softmax_cross_entropy(logits, labels, label_smoothing)


def sigmoid_cross_entropy(
    logits: jax.Array, targets: jax.Array, label_smoothing: float = 0.0
) -> jax.Array:
    """Binary cross-entropy of targets in [0, 1] under sigmoid(logits), element by element, in nats.

    With smoothing s the targets move to s / 2 and 1 - s / 2.
    """
    logits, targets = logits.astype(jnp.float32), targets.astype(jnp.float32)
    targets = targets * (1 - label_smoothing) + 0.5 * label_smoothing
    return jnp.maximum(logits, 0) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def squared_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """(prediction - target)^2, element by element, float32."""
    return jnp.square(predictions.astype(jnp.float32) - targets.astype(jnp.float32))


def huber(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared error up to a distance of 1, beyond it 2 * distance - 1, element by element, float32.

    Twice the loss of Huber (1964), so that near the target it is `squared_error`.
    """
    distance = jnp.abs(predictions.astype(jnp.float32) - targets.astype(jnp.float32))
    return jnp.where(distance <= 1, jnp.square(distance), 2 * distance - 1)


def chunked_cross_entropy(
    logits_of: Callable[[jax.Array], jax.Array],
    hidden: jax.Array,
    targets: jax.Array,
    chunk: int = 0,
    label_smoothing: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy of tokens, without the logits of all positions ever existing at once.

    Of a vocabulary of 128,000 the logits of 32 rows of 1,024 tokens would take 17 GB. Here those of
    `chunk` positions of each row do at a time; the backward pass computes them again.

    Args:
        logits_of: `[rows, positions, dim] -> [rows, positions, vocabulary]` float32.
        hidden: `[rows, length, dim]`.
        targets: `[rows, length]` ids.
        chunk: positions of a row at once; 0 is all of them, which is quickest where memory allows.
        label_smoothing: as of `softmax_cross_entropy`.

    Returns:
        (the loss in nats, the logarithm of the softmax's denominator), each `[rows, length]` float32.
    """

    def of(inputs):
        hidden, targets = inputs
        logits = logits_of(hidden).astype(jnp.float32)
        log_z = jax.nn.logsumexp(logits, -1)
        chosen = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
        if label_smoothing:
            chosen = (1 - label_smoothing) * chosen + label_smoothing * logits.mean(-1)
        return log_z - chosen, log_z

    rows, length = targets.shape
    if not chunk or chunk >= length:
        return of((hidden, targets))
    count = -(-length // chunk)

    def cut(x):  # [chunks, rows, chunk, ...]: rows stay on their devices
        padding = [(0, 0), (0, count * chunk - length), *[(0, 0)] * (x.ndim - 2)]
        return jnp.moveaxis(jnp.pad(x, padding).reshape(rows, count, chunk, *x.shape[2:]), 1, 0)

    parts = jax.lax.map(jax.checkpoint(of), (cut(hidden), cut(targets)))
    nats, log_z = (jnp.moveaxis(x, 0, 1).reshape(rows, -1)[:, :length] for x in parts)
    return nats, log_z
