"""Two runs of the same config have the same bits."""

from bigmodel_jax.verifying import child, comparing
from bigmodel_jax.verifying.finding import Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject) -> Finding:
    """The second run is a process of its own: other hashes of strings, other threads, a cold start."""
    straight, _ = subject.straight
    child.train(subject, "again", subject.short)
    difference, where, what = comparing.runs(subject.folder / "again", straight, subject.total)
    return Finding(f"{what}, run again in a process of its own", difference, 0.0, where)
