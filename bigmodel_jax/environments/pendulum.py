"""A pendulum is swung up by a motor that is too weak to lift it: gymnasium's Pendulum-v1."""

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.environments import drawing

GRAVITY, MASS, LENGTH, DT, MAX_SPEED, MAX_TORQUE = 10.0, 1.0, 1.0, 0.05, 8.0, 2.0


class Environment:
    """The reward is minus a cost of the angle from upright, the speed and the torque.

    Its state is {"place": float32 [2], "time"}: the angle and its speed. It never terminates.
    """

    num_actions, action_size, observation_shape, limit = None, 1, (3,), 200

    def reset(self, rng):
        high = jnp.array([np.pi, 1.0], jnp.float32)
        place = jax.random.uniform(rng, (2,), jnp.float32, -high, high)
        return {"place": place, "time": jnp.zeros((), jnp.int32)}

    def step(self, state, action, rng):
        angle, speed = state["place"]
        torque = jnp.clip(action[0], -MAX_TORQUE, MAX_TORQUE)
        from_top = (angle + np.pi) % (2 * np.pi) - np.pi
        cost = from_top**2 + 0.1 * speed**2 + 0.001 * torque**2
        pull = 3 * GRAVITY / (2 * LENGTH) * jnp.sin(angle) + 3 / (MASS * LENGTH**2) * torque
        speed = jnp.clip(speed + DT * pull, -MAX_SPEED, MAX_SPEED)
        place, time = jnp.stack([angle + DT * speed, speed]), state["time"] + 1
        return {"place": place, "time": time}, -cost, jnp.zeros((), bool), time >= self.limit

    def observe(self, state):
        angle, speed = state["place"]
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), speed])

    def draw(self, state):
        angle = state["place"][0]
        tip = (-np.sin(angle), np.cos(angle))  # it turns to the left, as gymnasium's picture
        return drawing.lines([((0.0, 0.0), tip)], [(0.0, 0.0)], width=1.2)
