"""Tiny made-up data for the strains: a batch is a pure function of (seed, step)."""

import numpy as np


class Source:
    """Points on a line for a GAN ("x"), or points of two classes ("x" and "label")."""

    def __init__(
        self,
        *,
        batch_size=16,
        seed=0,
        process=(0, 1),
        group=1,
        training=True,
        split="",
        data_dir="",
    ):
        self.batch_size, self.seed, self.process = batch_size, seed, process
        self.examples, self.steps_per_epoch, self.info = 10 * batch_size, 10, {}

    def peek(self):
        return self.batch(0)

    def batch(self, step):
        rng = np.random.default_rng((self.seed, step))
        label = rng.integers(0, 2, self.batch_size)
        x = rng.normal(size=(self.batch_size, 4)) + 2.0 * label[:, None]
        index, count = self.process
        rows = {"x": x.astype(np.float32), "label": label.astype(np.int32)}
        return {k: np.split(v, count)[index] for k, v in rows.items()}
