"""Losses an element; the mean over what is real is taken by the task (see metrics.mean)."""

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
