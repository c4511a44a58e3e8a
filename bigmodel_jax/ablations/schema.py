"""Which keys a config may have where: the constructors and tables that will read it, asked beforehand.

A misspelt key of one variant is found before the first trial is paid for, not in the thirtieth.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from bigmodel_jax import config as configs
from bigmodel_jax import directions, optim, schedules
from bigmodel_jax.data.resolve import OWN_FILES
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.inheritance import PRETRAINED

Path = tuple[str, ...]

# What is read before a source is built, besides its own options.
DATA = ("candidates", "strict", *OWN_FILES)


def check(config: Mapping) -> None:
    """Raises a UserError for the first key of a completed config that nothing reads."""
    _check(config, ())


def _check(spec: Mapping, path: Path) -> None:
    known = keys(path, spec)
    for key, value in spec.items():
        if known is not None and key not in known:
            where = f"config.{'.'.join(path)}" if path else "The config"
            named = f" ({spec['name']})" if "name" in spec else ""
            raise UserError(f"{where}{named} has no key {key!r}.{nearest(key, known)}")
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
        case ("model",):
            return _component("models", spec)
        case ("task",) | ("task", "task"):
            return _component("tasks", spec)
        case ("actor",):
            return _component("data.actors", spec)
        case ("data",):
            return _component("data", spec, DATA)
        case ("data", "reader"):
            return _component("data.readers", spec)
        case ("data", "tokenizer"):
            return _component("data.tokenizers", spec)
        case ("evals", _):
            return _component("evals", spec, ("every",))
    return None


def _component(kind: str, spec: Mapping, others: Iterable[str] = ()) -> set[str] | None:
    """Those of a component; None where another run will say which one it is."""
    if spec.get("name", PRETRAINED) == PRETRAINED:
        return None
    return {"name", *configs.fields(kind, spec["name"]), *others}


def _named(path: Path, spec: Mapping, table: Mapping[str, Any], others: Iterable[str]) -> set[str]:
    name = spec.get("name", "constant")
    if name not in table:
        raise UserError(f"config.{'.'.join(path)}.name is {name!r}.{nearest(name, table)}")
    return {*inspect.signature(table[name]).parameters, *others} - {"steps"}  # a schedule's length
