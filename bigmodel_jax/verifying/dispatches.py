"""Several steps in one dispatch are the same steps one by one, up to rounding."""

import jax.numpy as jnp
import numpy as np

from bigmodel_jax.verifying import comparing
from bigmodel_jax.verifying.finding import DoesNotApply, Finding, rounding
from bigmodel_jax.verifying.subject import Subject

# Adam divides by gradients near 0, and a few steps multiply what was rounded otherwise.
GROWTH = 20.0


def check(subject: Subject) -> Finding:
    """Two whole runs, one of them with config.repeat, or with two where that is 1."""
    config = subject.short
    if config["actor"]:
        raise DoesNotApply("an actor acts between updates")
    if config["data"].get("buckets"):  # the batches of a dispatch share one: their order is another
        longest = config["data"].get("max_length", config["data"].get("length"))
        config = {**config, "data": {**config["data"], "buckets": (longest,)}}
    k = max(config["repeat"], 2)
    single, _ = subject.train("single", {**config, "repeat": 1})
    several, _ = subject.train("several", {**config, "repeat": k})
    first, second = (comparing.saved_arrays(run, subject.total) for run in (single, several))
    distances = {path: _distance(second[path], x) for path, x in first.items()}
    where = max(distances, key=lambda k: distances[k])
    return Finding(
        f"{len(first)} arrays after {subject.total} steps, 1 and {k} a dispatch",
        distances[where],
        GROWTH * rounding(config),
        where,
    )


def _distance(a, b) -> float:
    if not jnp.issubdtype(b.dtype, jnp.inexact):
        return 0.0 if np.array_equal(a, b) else np.inf
    distance = comparing.relative_distance(a, b)
    return distance if np.isfinite(distance) else np.inf
