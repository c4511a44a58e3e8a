"""The shares of two and of four processes make up the batches of one."""

import numpy as np

from bigmodel_jax import experiment
from bigmodel_jax.verifying import comparing, stepping
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject) -> Finding:
    """Batches of the first, the second and the third epoch."""
    if subject.config["actor"]:
        raise DoesNotApply("an actor makes the batches, in one process")
    config = stepping.streaming(subject.config)
    alone = experiment.open_source(config, subject.data_dir)
    counts = [n for n in (2, 4) if alone.batch_size % n == 0]
    if not counts:
        raise DoesNotApply(f"2 processes do not divide a batch of {alone.batch_size}")
    epoch = alone.steps_per_epoch
    worst, at = (0.0, ""), sorted({0, min(5, epoch), epoch, 3 * epoch - 1})
    for count in counts:
        shares = [
            experiment.open_source(config, subject.data_dir, (i, count)) for i in range(count)
        ]
        for step in at:
            parts = [share.batch(step) for share in shares]
            joined = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
            difference, where = comparing.bits(joined, dict(alone.batch(step)))
            if difference > worst[0]:
                worst = difference, f"{where} of step {step}, {count} processes"
    words = " and ".join(map(str, counts))
    return Finding(
        f"batches of {len(at)} steps, of 1 and {words} processes", worst[0], 0.0, worst[1]
    )
