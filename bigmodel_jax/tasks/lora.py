"""LoRA: a task around any task, which learns low-rank changes of kernels instead of the kernels.

    task=dict(name="lora", task=dict(name="classify"), rank=8, alpha=16)
    optimizer=dict(name="adamw", lr=1e-3, train=("lora/.*", "head/.*"))

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". What the optimizer does not own
has no gradient and no moments. `python -m bigmodel_jax.merge` makes plain parameters of such a run.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import config, sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.steps import Step, Variables


class Task:
    """The inner task, on a model whose kernels are W + (alpha / rank) a @ b.

    a `[inputs, rank]` and b `[rank, outputs]` are the parameters lora/<path of W>/{a,b}, float32, of
    a kernel of any number of axes; scanned layers have `[layers, ...]` of both. b starts at zero:
    at step 0 the model is the one without. a starts as in the authors' code, uniform within
    1 / sqrt(inputs). Weight decay leaves both alone unless config.optimizer.decayed names them.

    The sums are computed at every step, on all devices that hold W: that takes the memory of a copy
    of the kernels that `target` matches, and changes no model.

    Args:
        task: the spec of the inner task, whose methods and attributes this one has, too: what takes
            `variables` gets them with the sums in place of the kernels.
        rank: of the changes.
        alpha: their scale times the rank.
        target: patterns of the paths of kernels; by default those the paper settles on.

    Raises:
        UserError: (also of `init`, `step`) a pattern that matches no kernel; an optimizer that owns
            nothing of lora/, or a kernel that is to be changed by it.
    """

    def __init__(
        self,
        model: Any,
        task: Mapping,
        rank: int = 8,
        alpha: float = 16.0,
        target: Sequence[str] = (r"(.*/)?attention/(query|value)/kernel",),
    ):
        self.task = config.build("tasks", task, model=model)
        if isinstance(self.task, Task):
            raise UserError("config.task.task is lora in a lora: one is enough, of a larger rank.")
        if not isinstance(rank, int) or rank < 1:
            raise UserError(f"config.task.rank is {rank!r}, but it is a whole number from 1 up.")
        if alpha <= 0:
            raise UserError(f"config.task.alpha is {alpha!r}; it must be more than 0.")
        self._rank, self._scale, self._target = rank, alpha / rank, target

    def __getattr__(self, name: str) -> Any:
        """What only the inner task has; a function of variables gets the merged ones."""
        if name == "task" or name.startswith("__"):  # before __init__ is through, as in a copy
            raise AttributeError(name)
        value = getattr(self.task, name)
        if not callable(value) or next(iter(_parameters(value)), None) != "variables":
            return value

        @functools.wraps(value)
        def merged(variables, *args, **options):
            params = self.merge(variables["params"])
            rest = {k: v for k, v in variables.items() if k != "ema"}  # it has parts of its own
            return value({**rest, "params": params}, *args, **options)

        self.__dict__[name] = merged  # always the same function, or jit would compile it again
        return merged

    def init(self, rng, batch):
        variables = self.task.init(rng, batch)
        params = variables["params"]
        named, shapes = sharding.axis_names(params), trees.flatten(sharding.unbox(params))
        kernels = {k: x for k, x in shapes.items() if "kernel" in k.rpartition("/")[2]}
        trees.check_patterns(self._target, kernels, "config.task.target")
        chosen = trees.select(kernels, trees.matcher(self._target))
        chosen = {k: kernels[k] for k in trees.flatten(chosen)}
        keys = jax.random.split(jax.random.fold_in(rng, 1), len(chosen))
        pairs = {
            path: self._pair(key, path, x.shape, named[path])
            for key, (path, x) in zip(keys, chosen.items(), strict=True)
        }
        return {**variables, "params": {**params, "lora": trees.unflatten(pairs)}}

    def step(self, optimizer) -> Step:
        """The inner task's step, on this task's losses."""
        step = type(self.task).step(self, optimizer)  # pyright: ignore - it finds its losses here

        def init(variables):
            _check_owned(optimizer, variables["params"])
            return step.init(variables)

        return Step(init, step.update)

    def fit(self, variables: Variables, batches: Iterable) -> Variables:
        """The inner task's fit, if it has one, which sees the plain parameters."""
        if not hasattr(self.task, "fit"):
            return variables
        rest, lora = _apart(variables["params"])
        given = {**variables, "params": rest}
        fitted = self.task.fit(given, batches)
        if fitted is given:
            return variables
        return {**fitted, "params": {**fitted["params"], "lora": lora}}

    def merge(self, params: Mapping) -> dict:
        """Parameters without lora/, with the sums in place of the kernels."""
        rest, lora = _apart(params)
        pairs = trees.flatten(lora)
        kernels = trees.select(rest, lambda path: f"{path}/a" in pairs)

        def changed(path, kernel):
            a, b = pairs[f"{path}/a"], pairs[f"{path}/b"]
            change = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST) * self._scale
            sums = kernel.astype(jnp.float32) + change.reshape(kernel.shape)
            return sums.astype(kernel.dtype)

        return trees.replace(rest, trees.map_paths(changed, kernels))

    def _pair(self, key, path, shape, names):
        """a and b of a kernel, with the names of their axes."""
        names = names or (None,) * len(shape)
        layers = 1 if names[0] == "layers" or "/blocks/" in f"/{path}" else 0
        inputs, outputs = _sides(path, shape[layers:], names[layers:])
        lead, lead_names = shape[:layers], names[:layers]
        size = math.prod(shape[layers : layers + inputs])
        rest = math.prod(shape[layers + inputs :])
        bound = size**-0.5

        def uniform(key, shape, dtype):
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        first = sharding.axes(uniform, *lead_names, names[layers], None)
        second = sharding.axes(jax.nn.initializers.zeros, *lead_names, None, outputs)
        return {
            "a": first(key, (*lead, size, self._rank), jnp.float32),
            "b": second(key, (*lead, self._rank, rest), jnp.float32),
        }


def _sides(path, shape, names) -> tuple[int, str | None]:
    """How many of the axes are inputs, and the name of the first that is an output.

    A head_dim belongs to the heads before it; then there must be one input and one output.
    """
    starts = [i for i, name in enumerate(names) if not (i and name == "head_dim")]
    if len(starts) != 2:
        raise UserError(
            f"config.task.target matches {path} {list(shape)}, whose axes {tuple(names)} do not say "
            "which are its inputs and which its outputs: leave it out."
        )
    return starts[1], names[starts[1]]


def _apart(params: Mapping) -> tuple[dict, dict]:
    """(parameters of the inner task, those of lora/)."""
    return {k: v for k, v in params.items() if k != "lora"}, params["lora"]


def _check_owned(optimizer, params):
    players = optimizer.values() if isinstance(optimizer, dict) else [optimizer]
    rest, lora = _apart(params)
    pairs = trees.flatten(lora)

    def owned(paths):
        return [path for path in paths if any(player.owns(path) for player in players)]

    way = 'name what trains in config.optimizer.train, such as ("lora/.*", "head/.*").'
    if not owned(f"lora/{path}" for path in pairs):
        raise UserError(f"config.task is lora, but the optimizer owns nothing of lora/.*: {way}")
    if both := owned(path for path in trees.flatten(rest) if f"{path}/a" in pairs):
        raise UserError(
            f"config.optimizer owns {both[0]}, which config.task lora is to change in its stead: {way}"
        )


def _parameters(function: Callable) -> Iterable[str]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a builtin
        return ()
