"""A pole balances on a cart, which is pushed left or right: gymnasium's CartPole-v1 (Barto et al. 1983)."""

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.environments import drawing

GRAVITY, CART, POLE, HALF, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
FAR, TILTED = 2.4, 12 * 2 * np.pi / 360


class Environment:
    """The reward is 1 a step, until the pole is tilted by 12 degrees or the cart 2.4 away.

    Its state is {"place": float32 [4], "time"}: the cart's position and speed, the pole's angle and speed.
    """

    num_actions, action_size, observation_shape, limit = 2, None, (4,), 500

    def reset(self, rng):
        place = jax.random.uniform(rng, (4,), jnp.float32, -0.05, 0.05)
        return {"place": place, "time": jnp.zeros((), jnp.int32)}

    def step(self, state, action, rng):
        x, speed, angle, turning = state["place"]
        force = jnp.where(action == 1, FORCE, -FORCE)
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        pushed = (force + POLE * HALF * turning**2 * sin) / (CART + POLE)
        swing = (GRAVITY * sin - cos * pushed) / (HALF * (4 / 3 - POLE * cos**2 / (CART + POLE)))
        gain = pushed - POLE * HALF * swing * cos / (CART + POLE)
        moves = jnp.stack([speed, gain, turning, swing])  # Euler's: all from where it was
        place, time = state["place"] + TAU * moves, state["time"] + 1
        terminated = (jnp.abs(place[0]) > FAR) | (jnp.abs(place[2]) > TILTED)
        return {"place": place, "time": time}, jnp.ones(()), terminated, time >= self.limit

    def observe(self, state):
        return state["place"]

    def draw(self, state):
        x, _, angle, _ = state["place"]
        cart, top = (x, 0.0), (x + 2 * HALF * np.sin(angle), 2 * HALF * np.cos(angle))
        track = ((-FAR, 0.0), (FAR, 0.0))
        return drawing.lines([track, (cart, top)], [cart], width=FAR + 0.2)
