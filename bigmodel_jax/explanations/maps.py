"""Where in an image an answer comes from: Grad-CAM, and of a vision transformer attention rollout."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def make_grad_cam(task: Any) -> Callable:
    """`(variables, batch, label) -> float32 [batch, rows, columns]`, 0 or more, to be jitted.

    Selvaraju et al. 2017, "Grad-CAM": the model's last map, its channels weighed by the mean over all
    places of the gradient of the label's logit, and of their sum what is above 0. The last map is
    what `feature_map` of the model gives and `from_feature_map` goes on from; a model of tokens says
    by `grid` which of them are places.
    """
    model = task.model
    places = getattr(model, "grid", lambda x: x)

    def grad_cam(variables, batch, label):
        found, _ = task.apply(variables, batch, None, train=False, method="feature_map")

        def logit(x):
            logits = model.apply(variables, x, method="from_feature_map")
            return jnp.where(jnp.arange(logits.shape[-1]) == label, logits, 0.0).sum()

        found = found.astype(jnp.float32)
        weights = places(jax.grad(logit)(found)).mean((1, 2), keepdims=True)
        return jax.nn.relu((weights * places(found)).sum(-1))

    return grad_cam


def rollout(weights: jax.Array) -> jax.Array:
    """How much of each token comes from which of the first layer's, `[batch, tokens, tokens]`.

    Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers": the mean over the heads of a
    layer and, for what goes past its attention, the identity, half of each; the layers' product. Rows
    have sum 1.

    Args:
        weights: of attention, `[layers, batch, heads, tokens, tokens]`, rows of sum 1.
    """
    mixed = (weights.mean(2) + jnp.eye(weights.shape[-1])) / 2
    flow = mixed[0]
    for layer in mixed[1:]:
        flow = layer @ flow
    return flow


def make_rollout(task: Any) -> Callable:
    """`(variables, batch) -> float32 [batch, rows, columns]`: how much the head's token has of each patch.

    Or, of a model whose head takes the mean of all tokens, the mean of them.
    """
    model = task.model

    def looked_at(variables, batch):
        flow = rollout(model.attention_weights(variables, *task.inputs(batch)))
        return model.grid(flow[:, 0] if model.pooling == "first" else flow.mean(1))

    return looked_at
