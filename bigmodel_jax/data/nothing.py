"""A source of empty batches, for tasks whose data are made inside the step (an environment)."""


class Source:
    """Batches without a single array; an "epoch" is one step."""

    def __init__(self, *, batch_size: int = 1, **_):
        self.batch_size, self.steps_per_epoch, self.examples = batch_size, 1, 0
        self.info: dict = {}

    def peek(self) -> dict:
        return {}

    def batch(self, step: int) -> dict:
        return {}
