"""PPO in PyTorch as it is usually written in one file: gymnasium's vector of environments, a loop over time."""

from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

GAMMA, LAM, CLIP, ENTROPY, VALUE = 0.99, 0.95, 0.2, 0.01, 0.5


def layer(inputs, outputs, scale=2**0.5):
    """A linear layer with an orthogonal matrix."""
    made = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(made.weight, scale)
    nn.init.zeros_(made.bias)
    return made


class Agent(nn.Module):
    """A policy and a critic beside each other."""

    def __init__(self, size, actions):
        super().__init__()

        def network(outputs, scale):
            hidden = layer(size, 64), nn.Tanh(), layer(64, 64), nn.Tanh()
            return nn.Sequential(*hidden, layer(64, outputs, scale))

        self.policy, self.value = network(actions, 0.01), network(1, 1.0)


class Learner:
    """Acts and learns by turns.

    Args:
        name: of gymnasium's environment.
        number, length: environments, and steps in each between two updates.
        epochs, minibatches: over a batch, and of it.
    """

    def __init__(self, name, number, length, epochs, minibatches):
        worlds = [lambda: gymnasium.make(name) for _ in range(number)]
        self.worlds: Any = gymnasium.vector.SyncVectorEnv(worlds)
        self.number, self.length, self.epochs, self.minibatches = (
            number,
            length,
            epochs,
            minibatches,
        )
        size = self.worlds.single_observation_space.shape[0]
        self.agent = Agent(size, int(self.worlds.single_action_space.n))
        self.optimizer = torch.optim.Adam(self.agent.parameters(), lr=2.5e-4, eps=1e-5)
        self.seen = torch.tensor(self.worlds.reset(seed=0)[0])
        self.over = torch.zeros(number)
        shape = (length, number)
        self.observations = torch.zeros((*shape, size))
        self.actions = torch.zeros(shape, dtype=torch.int64)
        self.log_ps, self.rewards, self.overs, self.values = (torch.zeros(shape) for _ in range(4))

    def update(self):
        """One rollout, and what is learnt from it."""
        for t in range(self.length):
            self.observations[t], self.overs[t] = self.seen, self.over
            with torch.no_grad():
                policy = Categorical(logits=self.agent.policy(self.seen))
                action = policy.sample()
                self.values[t] = self.agent.value(self.seen)[:, 0]
            self.actions[t], self.log_ps[t] = action, policy.log_prob(action)
            seen, reward, terminated, truncated, _ = self.worlds.step(action.numpy())
            self.rewards[t] = torch.tensor(reward)
            self.seen = torch.tensor(seen)
            self.over = torch.tensor(np.logical_or(terminated, truncated), dtype=torch.float32)
        advantages = self.judged()
        rows = self.length * self.number
        flat = [
            x.reshape(rows, *x.shape[2:])
            for x in (
                self.observations,
                self.actions,
                self.log_ps,
                self.values,
                advantages,
                advantages + self.values,
            )
        ]
        for _ in range(self.epochs):
            for part in torch.randperm(rows).chunk(self.minibatches):
                self.descend(*(x[part] for x in flat))

    def judged(self):
        """Generalised advantages, [length, number]."""
        advantages, later = torch.zeros_like(self.rewards), 0.0
        with torch.no_grad():
            next_value = self.agent.value(self.seen)[:, 0]
        next_over = self.over
        for t in reversed(range(self.length)):
            delta = self.rewards[t] + GAMMA * next_value * (1 - next_over) - self.values[t]
            later = delta + GAMMA * LAM * (1 - next_over) * later
            advantages[t], next_value, next_over = later, self.values[t], self.overs[t]
        return advantages

    def descend(self, seen, action, old_log_p, old_value, advantage, target):
        """One step of the optimizer on a minibatch."""
        policy = Categorical(logits=self.agent.policy(seen))
        ratio = (policy.log_prob(action) - old_log_p).exp()
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        gain = torch.min(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)
        value = self.agent.value(seen)[:, 0]
        near = old_value + (value - old_value).clamp(-CLIP, CLIP)
        error = torch.max((value - target) ** 2, (near - target) ** 2)
        loss = -gain.mean() + VALUE * error.mean() - ENTROPY * policy.entropy().mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.agent.parameters(), 0.5)
        self.optimizer.step()
