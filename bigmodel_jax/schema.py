"""Which keys a config may have where: the constructors and tables that will read it, asked beforehand.

A misspelt key is found before anything is built, and that of an ablation's variant before the first trial
is paid for, not in the thirtieth.
"""

import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import config as configs
from bigmodel_jax import directions, optim, schedules
from bigmodel_jax.data.resolve import OWN_FILES
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.inheritance import PRETRAINED

Path = tuple[str, ...]

# What is read before a source is built, besides its own options.
DATA = ("candidates", "strict", *OWN_FILES)


def check(config: Mapping) -> None:
    """Raises a UserError for the first key of a completed config that nothing reads, or whose value is of
    another type than its component's constructor says."""
    _check(config, ())


def _check(spec: Mapping, path: Path) -> None:
    known = keys(path, spec)
    for key, value in spec.items():
        if known is not None and key not in known:
            where = f"config.{'.'.join(path)}" if path else "The config"
            named = f" ({spec['name']})" if "name" in spec else ""
            raise UserError(f"{where}{named} has no key {key!r}.{nearest(key, known)}")
        kind = _kind(path, spec)
        annotated = configs.annotations(kind, spec["name"]).get(key) if kind else None
        if wanted := _unlike(value, annotated):
            name = ".".join((*path, key))
            raise UserError(f"config.{name} is {value!r}, but it is {wanted}.")
        if isinstance(value, Mapping):
            _check(value, (*path, key))


def keys(path: Path, spec: Mapping) -> set[str] | None:
    """The keys that a dict of the config may have; None where any will do, or only the run can tell.

    Args:
        path: of the dict: () for the whole config, ("optimizer", "schedule"), ...
        spec: the dict.
    """
    match path:
        case ():
            return set(configs.DEFAULTS)
        case ("checkpoint",) | ("init_from",) | ("mesh",):
            return set(configs.DEFAULTS[path[0]])
        case ("early_stopping",):
            return {"metric", "mode", "patience"}
        case ("reduce_on_plateau",):
            return {"metric", "mode", "patience", "factor"}
        case ("optimizer", *_, "schedule"):
            return _named(path, spec, schedules.SHAPES, ("name", "warmup"))
        case ("optimizer",) | ("optimizer", _) if "name" in spec:
            return _named(path, spec, directions.DIRECTIONS, ("name", "clip", *optim.COMMON))
    kind = _kind(path, spec)
    others = {"data": DATA, "evals": ("every",)}.get(kind or "", ())
    return {"name", *configs.fields(kind, spec["name"]), *others} if kind else None


def _kind(path: Path, spec: Mapping) -> str | None:
    """Of which kind the component at `path` is; None where none is, or another run will say which."""
    if spec.get("name", PRETRAINED) == PRETRAINED:
        return None
    match path:
        case ("model",):
            return "models"
        case ("task",) | ("task", "task"):
            return "tasks"
        case ("actor",):
            return "data.actors"
        case ("data",):
            return "data"
        case ("data", "reader"):
            return "data.readers"
        case ("data", "tokenizer"):
            return "data.tokenizers"
        case ("evals", _):
            return "evals"
    return None


def _unlike(value: Any, annotated: Any) -> str | None:
    """What a value is to be instead; None where it is that, or the annotation says no plain type."""
    if value is None:
        return None
    if annotated == DTypeLike:
        try:
            jnp.dtype(value)
        except TypeError:
            return "a dtype, such as 'bfloat16'"
        return None
    if typing.get_origin(annotated) in (types.UnionType, typing.Union):
        found = [_unlike(value, each) for each in typing.get_args(annotated)]
        return None if None in found else " or ".join(filter(None, found))
    if typing.get_origin(annotated) is typing.Literal:
        known = typing.get_args(annotated)
        return None if value in known else f"one of {', '.join(map(repr, known))}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    taken = (int, float) if annotated is float else annotated
    whole = annotated is bool or not isinstance(value, bool)
    fits = annotated not in words or (isinstance(value, taken) and whole)
    return None if fits else words[annotated]


def _named(path: Path, spec: Mapping, table: Mapping[str, Any], others: Iterable[str]) -> set[str]:
    name = spec.get("name", "constant")
    if name not in table:
        raise UserError(f"config.{'.'.join(path)}.name is {name!r}.{nearest(name, table)}")
    return {*inspect.signature(table[name]).parameters, *others} - {"steps"}  # a schedule's length
