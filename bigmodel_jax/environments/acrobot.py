"""Two links hang from a joint, and the elbow between them is driven: gymnasium's Acrobot-v1 (Sutton 1996)."""

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.environments import drawing

MAX_SPEEDS = np.array([4 * np.pi, 9 * np.pi], np.float32)
DT, GRAVITY = 0.2, 9.8
MASS = LENGTH = INERTIA = 1.0  # of each link
MIDDLE = 0.5  # of a link, its centre of mass


class Environment:
    """The reward is -1 a step until the tip swings above the line, one link over the joint.

    Its state is {"place": float32 [4], "time"}: two angles and their speeds.
    """

    num_actions, action_size, observation_shape, limit = 3, None, (6,), 500

    def reset(self, rng):
        place = jax.random.uniform(rng, (4,), jnp.float32, -0.1, 0.1)
        return {"place": place, "time": jnp.zeros((), jnp.int32)}

    def step(self, state, action, rng):
        torque = action.astype(jnp.float32) - 1
        place, time = _runge_kutta(state["place"], torque), state["time"] + 1
        angles = (place[:2] + np.pi) % (2 * np.pi) - np.pi
        place = jnp.concatenate([angles, jnp.clip(place[2:], -MAX_SPEEDS, MAX_SPEEDS)])
        terminated = -jnp.cos(angles[0]) - jnp.cos(angles[0] + angles[1]) > 1
        reward = jnp.where(terminated, 0.0, -1.0)
        return {"place": place, "time": time}, reward, terminated, time >= self.limit

    def observe(self, state):
        angles, speeds = state["place"][:2], state["place"][2:]
        turned = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1).reshape(-1)
        return jnp.concatenate([turned, speeds])

    def draw(self, state):
        first, second = state["place"][0], state["place"][0] + state["place"][1]
        elbow = (np.sin(first), -np.cos(first))
        tip = (elbow[0] + np.sin(second), elbow[1] - np.cos(second))
        goal = ((-2.2, 1.0), (2.2, 1.0))
        return drawing.lines([goal, ((0.0, 0.0), elbow), (elbow, tip)], [(0.0, 0.0), elbow], 2.2)


def _slopes(place, torque):
    """The derivatives of (angles, speeds), by the equations of Sutton and Barto's book."""
    angle, elbow, speed, bending = place
    d1 = MASS * MIDDLE**2 + MASS * (LENGTH**2 + MIDDLE**2 + 2 * LENGTH * MIDDLE * jnp.cos(elbow))
    d1 = d1 + 2 * INERTIA
    d2 = MASS * (MIDDLE**2 + LENGTH * MIDDLE * jnp.cos(elbow)) + INERTIA
    phi2 = MASS * MIDDLE * GRAVITY * jnp.cos(angle + elbow - np.pi / 2)
    phi1 = (
        -MASS * LENGTH * MIDDLE * bending**2 * jnp.sin(elbow)
        - 2 * MASS * LENGTH * MIDDLE * bending * speed * jnp.sin(elbow)
        + (MASS * MIDDLE + MASS * LENGTH) * GRAVITY * jnp.cos(angle - np.pi / 2)
        + phi2
    )
    pull = torque + d2 / d1 * phi1 - MASS * LENGTH * MIDDLE * speed**2 * jnp.sin(elbow) - phi2
    second = pull / (MASS * MIDDLE**2 + INERTIA - d2**2 / d1)
    first = -(d2 * second + phi1) / d1
    return jnp.stack([speed, bending, first, second])


def _runge_kutta(place, torque):
    """One step of the classical fourth order."""
    k1 = _slopes(place, torque)
    k2 = _slopes(place + DT / 2 * k1, torque)
    k3 = _slopes(place + DT / 2 * k2, torque)
    k4 = _slopes(place + DT * k3, torque)
    return place + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
