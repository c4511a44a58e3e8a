"""Where arrays live: logical axes (named by models) to mesh axes (chosen by configs).

A mesh always has the six axes of AXES, of size 1 unless the config says otherwise, so that the same
rules serve a laptop (`mesh=dict(data=-1)`) and a pod (`mesh=dict(fsdp=-1, tensor=4)`).
"""

import contextlib
import contextvars
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from bigmodel_jax import topology, trees
from bigmodel_jax.errors import UserError, nearest

AXES = ("data", "fsdp", "tensor", "sequence", "expert", "stage")
BATCH_AXES = ("data", "fsdp")

_platform: contextvars.ContextVar[str] = contextvars.ContextVar("platform", default="")

# Logical axis -> mesh axis. A config may override any line in `config.rules`.
RULES: dict[str, Any] = {
    "batch": BATCH_AXES,
    "length": "sequence",
    "embed": "fsdp",
    "mlp": "tensor",
    "hidden": None,
    "heads": "tensor",
    "groups": "tensor",
    "head_dim": None,
    "vocab": ("tensor", "stage"),  # else each stage would do all of its products
    "positions": None,
    "layers": "stage",
    "classes": None,
}


def axes(init, *names: str | None) -> Any:
    """Names the axes of a parameter: `axes(initializer, "vocab", "embed")`."""
    return nn.with_logical_partitioning(init, names)


def shard(x: jax.Array, *names: str | None) -> Any:
    """Constrains an activation: `shard(x, "batch", "length", "embed")`; nothing without a mesh."""
    for name in names:
        if name is not None and name not in RULES:
            raise UserError(f"An activation has the axis {name!r}.{nearest(name, RULES)}")
    return nn.with_logical_constraint(x, names)


def spec(*names: str | None) -> P:
    """Where the current rules put axes of these names: `spec("batch", None)`."""
    return P(*nn.logical_to_mesh_axes(names) or ())


def parts(*names: str) -> int:
    """Into how many the current mesh and rules split axes of these names; 1 without a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    targets = [(t,) if isinstance(t, str) else t or () for t in spec(*names)]
    return math.prod(mesh.shape[axis] for target in targets for axis in target if not mesh.empty)


def make_mesh(sizes: Mapping[str, int], devices=None) -> Mesh:
    """A mesh over all devices; one axis may be -1, "all that are left".

    Raises:
        UserError: an unknown axis, or sizes whose product is not the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    for name in sizes:
        if name not in AXES:
            raise UserError(f"config.mesh names the axis {name!r}.{nearest(name, AXES)}")
        if not isinstance(sizes[name], int) or sizes[name] == 0:
            raise UserError(f"config.mesh.{name} is {sizes[name]!r}: a number of devices, or -1.")
    fixed = math.prod(n for n in sizes.values() if n > 0)
    free = [name for name, n in sizes.items() if n < 0]
    if len(free) > 1 or len(devices) % fixed or (not free and fixed != len(devices)):
        raise UserError(
            f"config.mesh {dict(sizes)} does not fit {len(devices)} devices: the product of its "
            "axes must be that number, where one axis may be -1 for all that are left."
        )
    shape = {**dict.fromkeys(AXES, 1), **sizes, **dict.fromkeys(free, len(devices) // fixed)}
    return Mesh(topology.arrange(shape, devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))


@contextlib.contextmanager
def use(mesh: Mesh, rules: Mapping[str, Any] | None = None):
    """Makes the mesh and the rules the current ones, for `axes` and `shard` to take effect."""
    rules = {**RULES, **(rules or {})}
    for name, target in rules.items():
        if name not in RULES:
            raise UserError(f"config.rules names the logical axis {name!r}.{nearest(name, RULES)}")
        target = (target,) if isinstance(target, str) else target or ()
        if not isinstance(target, (tuple, list)):
            raise UserError(
                f"config.rules sends {name!r} to {target!r}: a mesh axis, several or None."
            )
        for axis in target:
            if axis not in AXES:
                raise UserError(
                    f"config.rules sends {name!r} to the mesh axis {axis!r}.{nearest(axis, AXES)}"
                )
    token = _platform.set(mesh.devices.flat[0].platform)
    try:
        with jax.set_mesh(mesh), nn.logical_axis_rules(tuple(rules.items())):
            yield
    finally:
        _platform.reset(token)


@contextlib.contextmanager
def portable():
    """Makes what is traced, outside of any mesh, a program for every platform: no kernels of one."""
    token = _platform.set("any")
    try:
        yield
    finally:
        _platform.reset(token)


def platform() -> str:
    """What the current mesh's devices are, which need not be here: "cpu", "gpu" or "tpu"; or "any"."""
    return _platform.get() or jax.default_backend()


def unbox(variables) -> dict[str, Any]:
    """Variables as plain dicts of arrays, without the names of their axes."""
    return nn.unbox(variables)


def axis_names(variables) -> dict[str, tuple[str | None, ...]]:
    """The names of the axes of each array by path, None for those that have none."""
    specs = nn.get_partition_spec(variables)
    return {k: tuple(x) for k, x in trees.flatten(specs, lambda x: isinstance(x, P)).items()}


def abstract(init, mesh: Mesh):
    """Shapes, dtypes and shardings of the variables `init()` would return, as plain dicts.

    Raises:
        UserError: a parameter names an unknown axis, or has a dimension that its mesh axes do not
            divide; the mesh has stages, and no parameter has layers to split over them.
    """
    boxed = jax.eval_shape(init)
    named = axis_names(boxed)
    rules = dict(nn.get_logical_axis_rules())
    layered: set[str] = set()

    def place(path, x):
        used: set[str] = set()
        spec = []
        for dim, name in zip(x.shape, (*named[path], *[None] * x.ndim), strict=False):
            if name is not None and name not in rules:
                raise UserError(f"Parameter {path} has the axis {name!r}.{nearest(name, rules)}")
            targets = (rules[name] or ()) if name is not None else ()
            targets = (targets,) if isinstance(targets, str) else targets
            present = tuple(a for a in targets if mesh.shape[a] > 1 and a not in used)
            count = math.prod(mesh.shape[a] for a in present)
            if dim % count:
                raise UserError(
                    f"Parameter {path} has shape {x.shape}: its dimension {dim} does not divide "
                    f"over {count} devices (mesh axes {present}). Change config.mesh, config.rules "
                    "or the size."
                )
            used |= set(present)
            spec.append(present or None)
            layered.update(present if name == "layers" else ())
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, P(*spec)))

    placed = trees.map_paths(place, jax.eval_shape(lambda: unbox(init())))
    if mesh.shape["stage"] > 1 and "stage" not in layered:
        raise UserError(
            f"config.mesh has {mesh.shape['stage']} stages, but the model has no scanned layers to split "
            "between them: set config.model.scan=True where it has that field, or leave out stage."
        )
    return placed


def follow(tree, params, mesh: Mesh):
    """Shardings for anything made from parameters (moments, averages).

    A leaf whose path ends in a parameter's path and that has its shape lives where the parameter
    lives; all else (counts, factored moments) is on every device.
    """
    known = {path: (x.shape, x.sharding) for path, x in trees.flatten(params).items()}

    def place(keys, x):
        parts = [str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in keys]
        for start in range(len(parts)):
            shape, sharding = known.get("/".join(parts[start:]), (None, None))
            if shape == x.shape:
                return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, P()))

    return jax.tree_util.tree_map_with_path(place, tree)


def share(mesh: Mesh) -> tuple[int, int]:
    """(index, count): this process's part of every batch.

    Processes that split no rows between them, because a tensor axis spans them, read the same part.
    """
    places = mesh.devices.reshape(mesh.shape["data"] * mesh.shape["fsdp"], -1)
    process = jax.process_index()
    mine = [i for i, row in enumerate(places) if any(d.process_index == process for d in row)]
    first, size = mine[0], len(mine)
    if mine != list(range(first, first + size)) or first % size or len(places) % size:
        raise UserError(
            f"config.mesh {dict(mesh.shape)} scatters the rows of a batch over the devices of a process: "
            "let each process have whole rows of data and fsdp, or share them with the same others."
        )
    return first // size, len(places) // size


def rows(mesh: Mesh, stacked: bool = False) -> NamedSharding:
    """How a batch `[rows, ...]` is split, over (data, fsdp); of `[k, rows, ...]` if `stacked`."""
    return NamedSharding(mesh, P(None, BATCH_AXES) if stacked else P(BATCH_AXES))


def put(batch, mesh: Mesh, stacked: bool = False):
    """Turns this process's rows of a batch, a pytree of host arrays, into global arrays; see `rows`."""
    layout = rows(mesh, stacked)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(layout, x), batch)


def replicate(tree, mesh: Mesh):
    """Host arrays, the same in every process, as arrays on every device."""
    everywhere = NamedSharding(mesh, P())
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(everywhere, x), tree)
