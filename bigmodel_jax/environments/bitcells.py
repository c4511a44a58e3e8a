"""Cells that are set, of which an action clears one: the environment of an introduction's first agent."""

import jax.numpy as jnp
import numpy as np


class Environment:
    """The reward is 1 where the cell was set, else -1; it terminates when no cell is set any more.

    It begins with all cells set, so that the best return is `cells`. Its state is {"cells": float32 [cells],
    1 where set, "time"}.

    Args:
        cells: how many there are, and as many actions.
        shift: action i clears the cell i + shift, from the last on to the first again: another one is another
            world, to which an agent has to adapt.
        limit: steps after which it is truncated.
    """

    action_size = None

    def __init__(self, cells: int = 10, shift: int = 0, limit: int = 20):
        self.num_actions, self.observation_shape = cells, (cells,)
        self.shift, self.limit = shift, limit

    def reset(self, rng):
        return {"cells": jnp.ones(self.observation_shape), "time": jnp.zeros((), jnp.int32)}

    def step(self, state, action, rng):
        place = (action + self.shift) % self.num_actions
        reward = jnp.where(state["cells"][place] > 0, 1.0, -1.0)
        cells, time = state["cells"].at[place].set(0.0), state["time"] + 1
        return {"cells": cells, "time": time}, reward, ~cells.any(), time >= self.limit

    def observe(self, state):
        return state["cells"]

    def draw(self, state):
        shades = np.where(state["cells"] > 0, 40, 220).astype(np.uint8)
        picture = np.full((40, 40 * self.num_actions, 3), 255, np.uint8)
        for i, shade in enumerate(shades):
            picture[4:36, 40 * i + 4 : 40 * i + 36] = shade
        return picture
