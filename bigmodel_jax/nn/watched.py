"""What a model's own layers are given, without the model's help."""

import contextlib
from collections.abc import Iterator

import flax.linen as nn
import jax


@contextlib.contextmanager
def watched(*names: str) -> Iterator[list[jax.Array]]:
    """While it is open, lists the first argument of each call of a model's layers of these names.

    Layers of the model itself: those of its parts have longer paths. Within `jax.jit` what is listed
    may leave the function only as its result.
    """
    found: list[jax.Array] = []

    def watch(following, args, kwargs, context):
        module = context.module
        if context.method_name == "__call__" and len(module.path) == 1 and module.name in names:
            found.append(args[0])
        return following(*args, **kwargs)

    with nn.intercept_methods(watch):
        yield found
