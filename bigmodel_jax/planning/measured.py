"""What this machine's CPU does, measured in a second: the chip of --topology=cpu:N."""

import functools
import os
import time

import jax
import jax.numpy as jnp

from bigmodel_jax.planning.hardware import Chip


@functools.cache
def this_machine(devices: int) -> Chip:
    """One of so many pretended devices, which share the cores."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with jax.default_device(jax.devices("cpu")[0]):
        x = jnp.ones((1024, 1024), jnp.bfloat16)
        product = jax.jit(lambda x: jnp.dot(x, x, preferred_element_type=jnp.float32))
        flops = 2 * 1024**3 / _best(product, x)
        y = jnp.ones(2**25, jnp.float32)
        bandwidth = 2 * y.nbytes / _best(jax.jit(lambda y: y + 1), y)
    # What passes between pretended devices is copied in memory, twice.
    return Chip(
        "cpu", flops / devices, memory / devices, bandwidth / devices, bandwidth / 2 / devices, 1e9
    )


def _best(function, argument, rounds: int = 8) -> float:
    """Seconds of the quickest of some calls."""
    function(argument).block_until_ready()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        function(argument).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
