"""What a checkpoint gives back is what was saved."""

import jax

from bigmodel_jax import experiment
from bigmodel_jax.checkpoint import Checkpointer, verify
from bigmodel_jax.durations import Clock
from bigmodel_jax.verifying import comparing
from bigmodel_jax.verifying.finding import Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject) -> Finding:
    """The last state of a run against its checkpoint: its hashes hold, and every array has its bits."""
    straight, state = subject.straight
    folder = straight / "checkpoints"
    if damage := verify(folder / str(subject.total)):
        return Finding(f"the hashes of {folder / str(subject.total)}", float("inf"), 0.0, damage)
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )
    actor = None
    if subject.config["actor"]:
        actor = experiment.build("data.actors", subject.config["actor"], seed=0).state()
    with Checkpointer(folder, Clock(1, 1)) as keeper:
        saved, _, _ = keeper.restore(subject.total, abstract, actor)
    found, expected = comparing.by_path(saved), comparing.by_path(state)
    return Finding(f"{len(found)} arrays, saved and restored", *_bits(found, expected))


def _bits(found, expected):
    difference, where = comparing.bits(found, expected)
    return difference, 0.0, where
