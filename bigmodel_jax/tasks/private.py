"""Differential privacy: a task around a task, which learns little of any single example.

    task=dict(name="private", task=dict(name="classify"), clip=1.0, noise=1.12, delta=1e-5)

The step is DP-SGD (privacy/gradient.py), on batches into which each example comes by a chance of its
own (config.data.poisson). What was spent is a function of how many steps there were, which is in the
collection "privacy", and so in every checkpoint; the evaluator `privacy` says it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp

from bigmodel_jax import config, steps
from bigmodel_jax.errors import UserError
from bigmodel_jax.privacy import accountant
from bigmodel_jax.privacy.gradient import gradient
from bigmodel_jax.steps import Step, Variables
from bigmodel_jax.tasks import base


class Task:
    """The inner task, with another step.

    Args:
        task: the spec of the inner task, whose methods and attributes this one has, too.
        clip: the bound of the norm of each example's gradient.
        noise: standard deviation of the noise that is added to their sum, in units of `clip`.
        delta: at which epsilon is said; to mean much it is below 1 / examples.
        sample_rate, expected_batch: filled in from the data.

    Raises:
        UserError: the inner task has a step of its own; a number is out of its range.
    """

    own = ("privacy",)

    def __init__(
        self,
        model: Any,
        task: Mapping,
        clip: float,
        noise: float,
        delta: float,
        sample_rate: float | None = None,
        expected_batch: int | None = None,
    ):
        self.task = config.build("tasks", task, model=model)
        if getattr(type(self.task), "step", None) is not base.Task.step:
            raise UserError(
                f"config.task private is around a task with the usual step, and {task['name']!r} has one "
                "of its own."
            )
        if clip <= 0 or noise <= 0 or not 0 < delta < 1:
            raise UserError(
                f"config.task private takes a clip and a noise above 0 and a delta in 0 to 1, but they are "
                f"{clip}, {noise} and {delta}."
            )
        self.clip, self.noise, self.delta = clip, noise, delta
        self.sample_rate, self.expected_batch = sample_rate, expected_batch

    def __getattr__(self, name: str) -> Any:
        """What only the inner task has."""
        if name == "task" or name.startswith("__"):  # before __init__ is through, as in a copy
            raise AttributeError(name)
        return getattr(self.task, name)

    def init(self, rng, batch) -> Variables:
        return {**self.task.init(rng, batch), "privacy": {"steps": jnp.zeros((), jnp.int32)}}

    def check(self, source) -> None:
        """Raises a UserError for a source whose batches are not drawn as the accountant counts."""
        rate = getattr(source, "sample_rate", None)
        if rate is None:
            raise UserError(
                "config.task private needs batches into which each example comes by a chance of its own: "
                "set config.data.poisson, the expected size of a batch, of data that have it (images)."
            )
        if rate != self.sample_rate:
            raise UserError(
                f"config.task.sample_rate is {self.sample_rate}, but the data's is {rate}: leave it out."
            )
        if hasattr(self.task, "check"):
            self.task.check(source)

    def fit(self, variables: Variables, batches: Iterable) -> Variables:
        """As of the inner task, if it looks at no example for it."""
        inner = getattr(self.task, "fit", lambda v, _: v)
        return inner(variables, _Closed())

    def step(self, optimizer) -> Step:
        if isinstance(optimizer, dict):
            raise UserError("config.task private has one player: config.optimizer=dict(name=...).")
        assert self.expected_batch is not None
        learn = gradient(
            self.loss,
            optimizer,
            clip=self.clip,
            noise=self.noise,
            expected=self.expected_batch,
        )

        def count(state, batch, rng):
            spent = {"steps": state.variables["privacy"]["steps"] + 1}
            return state.replace(variables={**state.variables, "privacy": spent}), {}

        return steps.chain(learn, Step(lambda variables: {}, count))

    def epsilon(self, variables: Mapping) -> float:
        """What has been spent at `delta`; see accountant.epsilon."""
        assert self.sample_rate is not None
        done = int(variables["privacy"]["steps"])
        return accountant.epsilon(self.sample_rate, self.noise, done, self.delta)


class _Closed:
    """In place of the training part."""

    def __iter__(self) -> Iterator:
        raise UserError(
            "config.task private may not look at the training part before it learns, as this task or model "
            "does (balanced weights, a target's mean, whitening): that would not be private; leave it out."
        )
