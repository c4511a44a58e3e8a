"""Environments of gymnasium that do not do as they declare, each in its twentieth step."""

import os

import gymnasium
import numpy as np


class Faulty(gymnasium.Env):
    """Shows two numbers and pays 1 a step, five steps an episode."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, fault, render_mode=None):
        self.fault, self.steps = fault, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time, self.steps = self.time + 1, self.steps + 1
        seen, reward, fault = np.full(2, self.time / 5, np.float32), 1.0, self.fault
        if self.steps == 20:
            if fault == "raises":
                raise ValueError("the motor is broken")
            if fault == "dies":
                os._exit(3)
            reward = {"nan": np.nan, "rewards": np.zeros(2)}.get(fault, reward)
            seen = {"shape": np.zeros(3), "infinite": seen / 0}.get(fault, seen)
        return seen, reward, False, self.time == 5, {}


for name in ("nan", "rewards", "raises", "dies", "shape", "infinite"):
    gymnasium.register(f"{name.capitalize()}-v0", Faulty, kwargs={"fault": name})
