"""Learning-rate schedules by name, each after an optional linear warm-up.

A schedule is a function of the run's step. The shape runs from 1 to `end` over the steps that the
warm-up leaves; it is multiplied by the peak `lr`.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError, nearest

Schedule = Callable[[jax.Array], jax.Array]


def constant(steps: int):
    """1 throughout. The loop may still lower it: see `plateau` in optim.py."""
    return lambda count: jnp.ones_like(count, jnp.float32)


def cosine(steps: int, *, end: float = 0.0):
    """Half a cosine from 1 to `end` (Loshchilov and Hutter 2017, SGDR, without restarts)."""

    def shape(count):
        done = jnp.clip(count / steps, 0, 1)
        return end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * done))

    return shape


def linear(steps: int, *, end: float = 0.0):
    """A straight line from 1 to `end`."""
    return lambda count: 1 - (1 - end) * jnp.clip(count / steps, 0, 1)


def rsqrt(steps: int, *, timescale: int = 10_000):
    """1 / sqrt(1 + count / timescale) (Raffel et al. 2020, T5; shifted to start at 1)."""
    return lambda count: jnp.sqrt(timescale / (timescale + count))


def step(steps: int, *, at: tuple[float, ...], factor: float = 0.1):
    """Times `factor` at each of the fractions `at` of the run, e.g. (0.5, 0.75)."""
    marks = jnp.array([fraction * steps for fraction in at])
    return lambda count: factor ** (count[..., None] >= marks).sum(-1).astype(jnp.float32)


def exponential(steps: int, *, end: float = 0.01):
    """Geometric decay from 1 to `end`."""
    return lambda count: end ** jnp.clip(count / steps, 0, 1)


SHAPES = {f.__name__: f for f in (constant, cosine, linear, rsqrt, step, exponential)}


def build(spec: Mapping, lr: float, clock: Clock) -> Schedule:
    """The schedule of a config: dict(name="cosine", warmup="5%", end=0.1) at the peak `lr`."""
    options = dict(spec)
    name = options.pop("name", "constant")
    warmup = options.pop("warmup", 0)
    warmup = clock.steps(warmup, "config.optimizer.schedule.warmup") if warmup else 0
    if name not in SHAPES:
        raise UserError(f"config.optimizer.schedule.name is {name!r}.{nearest(name, SHAPES)}")
    try:
        shape = SHAPES[name](max(1, (clock.total or 1) - warmup), **options)
    except TypeError as error:
        raise UserError(f"config.optimizer.schedule: {error}.") from error

    def schedule(count):
        count = jnp.asarray(count, jnp.float32)
        rising = jnp.minimum(1.0, (count + 1) / warmup) if warmup else 1.0
        return (lr * rising * shape(jnp.maximum(count - warmup, 0.0))).astype(jnp.float32)

    return schedule
