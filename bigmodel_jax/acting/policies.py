"""Distributions of actions by their parameters, as models give them.

{"logits" [..., actions]} is of one action among several, {"mean", "log_std" [..., size]} of as many
independent normal numbers.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

Parameters = Mapping[str, jax.Array]


def sample(policy: Parameters, rng: jax.Array) -> jax.Array:
    """Actions int32 [...] or float32 [..., size]."""
    if "logits" in policy:
        return jax.random.categorical(rng, policy["logits"]).astype(jnp.int32)
    mean = policy["mean"]
    return mean + jnp.exp(policy["log_std"]) * jax.random.normal(rng, mean.shape)


def mode(policy: Parameters) -> jax.Array:
    """The likeliest actions."""
    if "logits" in policy:
        return policy["logits"].argmax(-1).astype(jnp.int32)
    return policy["mean"]


def log_p(policy: Parameters, action: jax.Array) -> jax.Array:
    """The logarithms of the actions' probability, or density, [...]."""
    if "logits" in policy:
        found = jax.nn.log_softmax(policy["logits"])
        return jnp.take_along_axis(found, action[..., None], -1)[..., 0]
    z = (action - policy["mean"]) * jnp.exp(-policy["log_std"])
    return (-0.5 * z**2 - policy["log_std"] - 0.5 * np.log(2 * np.pi)).sum(-1)


def entropy(policy: Parameters) -> jax.Array:
    """In nats, [...]."""
    if "logits" in policy:
        found = jax.nn.log_softmax(policy["logits"])
        return -(jnp.exp(found) * found).sum(-1)
    return (policy["log_std"] + 0.5 * np.log(2 * np.pi * np.e)).sum(-1)
