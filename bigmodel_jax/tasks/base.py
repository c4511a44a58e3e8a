"""What a task is: it gives batches a meaning."""

from typing import Any

import jax

from bigmodel_jax import steps
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import Mean
from bigmodel_jax.steps import Aux, Batch, Step, Variables


class Task:
    """What the model reads of a batch, and what counts as good.

    The rest of the program knows a task by `init`, `loss` and `step`, and asks by name for what some
    tasks have besides: `predict` (for evaluation and prediction), `fit` (a closed-form start), the
    names `evaluator` and `applied` (what in evals/ judges it, and in applied/ says what it answers).
    """

    mutable = ("batch_stats",)  # collections that the model changes while it trains
    own: tuple[str, ...] = ()  # collections that the model does not know

    def __init__(self, model: Any):
        self.model = model

    def inputs(self, batch: Batch) -> tuple:
        """The model's arguments from a batch."""
        raise NotImplementedError

    def init(self, rng: jax.Array, batch: Batch) -> Variables:
        """Initial variables; parameters carry the names of their axes."""
        return self.model.init({"params": rng}, *self.inputs(batch))

    def loss(
        self, variables: Variables, batch: Batch, rng: jax.Array, *, train: bool
    ) -> tuple[Mean, Aux]:
        """(total and weight of the loss, metrics and new untrained variables); pure."""
        raise NotImplementedError

    def step(self, optimizer) -> Step:
        """One update. Tasks with several players override this."""
        if isinstance(optimizer, dict):
            raise UserError(
                f"config.optimizer names the players {', '.join(optimizer)}, but this task has one: "
                "dict(name=..., lr=...)."
            )
        return steps.gradient(self.loss, optimizer)

    def apply(
        self, variables: Variables, batch: Batch, rng: jax.Array | None, *, train: bool, **options
    ):
        """(the model's output, new batch statistics and the like); `options` go to the model."""
        given = {
            k: v for k, v in variables.items() if not k.startswith("ema") and k not in self.own
        }
        mutable = [k for k in self.mutable if k in given] if train else []
        rngs = {"dropout": rng} if rng is not None else {}
        out = self.model.apply(
            given,
            *self.inputs(batch),
            train=train,
            rngs=rngs,
            mutable=mutable or False,
            **options,
        )
        return (out[0], dict(out[1])) if mutable else (out, {})
