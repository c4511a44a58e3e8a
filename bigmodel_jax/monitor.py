"""Watches a validation metric: the best so far, and for how long it has not improved."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bigmodel_jax.errors import UserError, nearest


@dataclass
class Monitor:
    """Counts evaluations without improvement; for early stopping and for plateaus.

    Attributes:
        metric: by its full name, e.g. "val/accuracy".
        mode: "max" or "min".
        patience: evaluations without improvement after which `exhausted`; 0 waits for ever.
        best, best_step: the best value and its step; NaN is never better.
        waited: evaluations since then.
    """

    metric: str
    mode: str = "max"
    patience: int = 0
    best: float | None = None
    best_step: int | None = None
    waited: int = 0

    def __post_init__(self):
        if self.mode not in ("max", "min"):
            raise UserError(f"{self.metric}: mode is {self.mode!r}, but it is 'max' or 'min'.")

    def update(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Takes in an evaluation; True if it is the best so far.

        Raises:
            UserError: the evaluation has no such metric.
        """
        if self.metric not in metrics:
            raise UserError(
                f"{self.metric!r} is watched, but no evaluation gives it."
                f"{nearest(self.metric, metrics)}"
            )
        value = metrics[self.metric]
        sign = 1 if self.mode == "max" else -1
        if not math.isnan(value) and (self.best is None or sign * value > sign * self.best):
            self.best, self.best_step, self.waited = value, step, 0
            return True
        self.waited += 1
        return False

    @property
    def source(self) -> str:
        """The evaluator that the metric is of."""
        return self.metric.split("/")[0]

    @property
    def exhausted(self) -> bool:
        return 0 < self.patience <= self.waited

    def resume(self, saved: Mapping | None) -> None:
        """Takes up what a monitor of the same metric and mode had seen before a checkpoint."""
        if saved and (saved["metric"], saved["mode"]) == (self.metric, self.mode):
            self.best, self.best_step = saved["best"], saved["best_step"]
            self.waited = saved["waited"]

    def to_json(self) -> dict:
        return asdict(self)


@dataclass
class Plateau(Monitor):
    """A monitor that lowers the learning rate each time it is exhausted.

    Attributes:
        factor: the learning rate is multiplied by it.
    """

    factor: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.factor < 1:
            raise UserError(f"{self.metric}: factor is {self.factor}, but it is between 0 and 1.")
        if self.patience < 1:
            raise UserError(f"{self.metric}: patience must be 1 or more for a plateau to ever end.")
