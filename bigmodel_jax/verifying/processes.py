"""One process and two take the same step, up to rounding."""

import jax

from bigmodel_jax.verifying import child, comparing, stepping
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject) -> Finding:
    """Two real processes on this machine, which find each other as those of launch/local.py do."""
    if subject.config["actor"]:
        raise DoesNotApply("an actor acts in one process")
    config = {**subject.short, **stepping.streaming(subject.descending), "mesh": {"data": -1}}
    config |= {"duration": "1 steps", "log_every": "1 steps", "checkpoint": {"every": "1 steps"}}
    config["evals"] = {}
    one = subject.descent(subject.descending)
    child.together(subject, "two", config, processes=2)
    workdir = subject.folder / "two"
    after = _variables(comparing.saved_arrays(workdir, 1))
    before = comparing.by_path(one.before)
    gradient = {
        k: (before[k] - after[k]) / stepping.RATE for k in before if k.startswith("['params']")
    }
    loss = next(v for k, v in comparing.rows(workdir)[0].items() if k.endswith("loss"))
    rest = {k: v for k, v in after.items() if k not in gradient}
    plain = one._replace(gradient=comparing.by_path({"params": one.gradient}))
    two = stepping.Descent(loss, gradient, rest, one.before)
    what = f"1 process and 2, on {jax.devices()[0].platform}"
    return stepping.compared(what, plain, two, subject.config)


def _variables(arrays):
    """Those of a checkpoint, by their paths among the variables."""
    prefix = "['variables']"
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
