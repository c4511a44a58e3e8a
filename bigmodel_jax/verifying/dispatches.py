"""Several steps in one dispatch are the same steps one by one, up to rounding."""

import numpy as np

from bigmodel_jax.config import fields
from bigmodel_jax.verifying import comparing, stepping
from bigmodel_jax.verifying.finding import DoesNotApply, Finding, rounding
from bigmodel_jax.verifying.subject import Subject

GROWTH = 20.0  # a few steps multiply what was rounded otherwise in the first


def check(subject: Subject) -> Finding:
    """Two whole runs, one of them with config.repeat, or with two where that is 1.

    By descent with momentum: Adam moves a parameter whose gradient is 0 but for rounding (a bias of
    attention's keys) as far as any other. What is compared are all variables together, and all that
    the optimizer keeps, for the same reason.
    """
    if subject.config["actor"]:
        raise DoesNotApply("an actor acts between updates")
    optimizer = stepping.descending(subject.config["optimizer"], lr=0.01, momentum=0.9)
    config, data = {**subject.short, "optimizer": optimizer}, subject.config["data"]
    longest = data.get("max_length", data.get("length"))
    if longest and "buckets" in fields("data", data["name"]):
        # The batches of a dispatch are of one length, and so in another order; here all are.
        config["data"] = {**data, "buckets": (longest,)}
    k = max(config["repeat"], 2)
    single, _ = subject.train("single", {**config, "repeat": 1})
    several, _ = subject.train("several", {**config, "repeat": k})
    first, second = (comparing.saved_arrays(run, subject.total) for run in (single, several))
    kinds = {path.split("'")[1] for path in first}
    distances = {kind: _distance(second, first, f"['{kind}']") for kind in sorted(kinds)}
    where = max(distances, key=lambda kind: np.nan_to_num(distances[kind], nan=np.inf))
    what = f"{len(first)} arrays after {subject.total} steps, 1 and {k} a dispatch"
    return Finding(what, distances[where], GROWTH * rounding(config), where)


def _distance(a, b, prefix: str) -> float:
    """Of the arrays of one kind together; counts must be the same."""
    paths = [path for path in b if path.startswith(prefix)]
    counts = [path for path in paths if np.issubdtype(b[path].dtype, np.integer)]
    if any(not np.array_equal(a[path], b[path]) for path in counts):
        return np.inf
    rest = [path for path in paths if path not in counts]
    return comparing.relative_distance(*({path: tree[path] for path in rest} for tree in (a, b)))
