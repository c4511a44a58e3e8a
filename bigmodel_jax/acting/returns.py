"""What an action was worth: returns and advantages along time, `[environments, length]`."""

import jax
import jax.numpy as jnp


def gae(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    over: jax.Array,
    gamma: float,
    lam: float,
) -> jax.Array:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16), float32 [environments, length].

    Args:
        reward, value: of each step, and of the state that it was made in.
        next_value: of the state that it led to. It counts where the time was over, but not where the
            world has `terminated`: nothing comes after that.
        over: the episode ended, either way; the next step is of another one.
    """
    delta = reward + jnp.where(terminated, 0.0, gamma * next_value) - value

    def back(later, now):
        delta, over = now
        advantage = delta + jnp.where(over, 0.0, gamma * lam * later)
        return advantage, advantage

    start = jnp.zeros_like(delta[:, 0])
    _, found = jax.lax.scan(back, start, (delta.T, over.T), reverse=True)
    return found.T


def to_go(reward: jax.Array, over: jax.Array, gamma: float) -> tuple[jax.Array, jax.Array]:
    """(discounted rewards from each step to its episode's end, whether that end was seen).

    Both are [environments, length]; where the end was not seen, the first is of what was.
    """

    def back(later, now):
        reward, over = now
        total, seen = later
        found = reward + jnp.where(over, 0.0, gamma * total), over | seen
        return found, found

    start = jnp.zeros_like(reward[:, 0]), jnp.zeros_like(over[:, 0])
    _, (total, seen) = jax.lax.scan(back, start, (reward.T, over.T), reverse=True)
    return total.T, seen.T
