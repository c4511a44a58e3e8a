"""Configs are plain data; here names become objects.

The file tree is the registry: dict(name="lstm", width=256) of kind "models" is
`models/lstm.py:Model(width=256)`. The constructor is the schema: a key it does not know fails, with
the nearest that it does. A name with a dot is a module of the user's own ("my_package.my_model").
"""

import importlib
import importlib.util
import inspect
import json
import pkgutil
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from bigmodel_jax.errors import UserError, nearest

CLASSES = {
    "models": "Model",
    "tasks": "Task",
    "evals": "Evaluator",
    "applied": "Answers",
    "data.actors": "Actor",
    "data": "Source",
    "data.readers": "Reader",
    "data.tokenizers": "Tokenizer",
    "data.transforms": "Transform",
    "data.image_transforms": "Transform",
    "data.batch_transforms": "Transform",
}

# Everything a config may say, with what it means to leave it out.
DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "duration": "1 epochs",
    "data": {"name": "nothing"},
    "model": {},
    "task": {},
    "init_from": {"path": "", "rename": (), "drop": (), "fresh": (), "resize": ()},  # graft.py
    "optimizer": {},
    "actor": {},
    "evals": {},
    "mesh": {"data": -1, "fsdp": 1, "tensor": 1, "sequence": 1, "expert": 1, "stage": 1},
    "rules": {},
    "repeat": 1,  # steps a dispatch
    "ema": 0.0,  # decay of an average of the parameters, used for evaluation
    "log_every": "50 steps",
    "histograms": "",  # of the parameters, in TensorBoard: a duration such as "1 epochs"
    "checkpoint": {"every": "10 minutes", "keep": 1, "fallback": False},
    "early_stopping": {},  # metric, mode, patience (in evaluations; 0 only keeps the best)
    "reduce_on_plateau": {},  # metric, mode, patience, factor
}

# What changes where arrays live, where and when is saved or shown, but no number beyond rounding: a
# resume may differ in it.
NEUTRAL = ("mesh", "rules", "checkpoint", "histograms")


def component(kind: str, name: str) -> type:
    """The class that a config's `name` stands for."""
    if "." in name:
        module = name
    else:
        module = f"bigmodel_jax.{kind}.{name}"
        package = importlib.import_module(f"bigmodel_jax.{kind}")
        known = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg]
        if name not in known:
            raise UserError(f"There is no {name!r} in {kind}.{nearest(name, known)}")
    try:
        found = getattr(importlib.import_module(module), CLASSES[kind], None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the module itself imports
        raise UserError(
            f"There is no module {module}: run from the folder that holds it, or set PYTHONPATH."
        ) from error
    if found is None:
        raise UserError(f"{module} holds no class {CLASSES[kind]}.")
    return found


def fields(kind: str, name: str) -> list[str]:
    """The keys that a component's constructor takes."""
    keys = inspect.signature(component(kind, name)).parameters
    return [k for k in keys if k not in ("self", "name", "parent")]


def annotations(kind: str, name: str) -> dict[str, Any]:
    """The types of those keys, where the constructor says them."""
    keys = inspect.signature(component(kind, name)).parameters
    return {key: parameter.annotation for key, parameter in keys.items()}


def build(kind: str, spec: Mapping, **runtime) -> Any:
    """The object of a spec: dict(name="lstm", width=256) -> models/lstm.py:Model(width=256).

    Args:
        runtime: what the caller adds and no config may name (a model, a mesh, ...).
    """
    options = plain(spec)
    if "name" not in options:
        raise UserError(f"A component of kind {kind} has no name: {options}.")
    name = options.pop("name")
    known = [k for k in fields(kind, name) if k not in runtime]
    for key in options:
        if key not in known:
            raise UserError(f"{kind} {name!r} has no option {key!r}.{nearest(key, known)}")
    try:
        return component(kind, name)(**options, **runtime)
    except TypeError as error:
        # Only the call itself: a TypeError from deeper down is a bug, not a user's error.
        if error.__traceback__ and error.__traceback__.tb_next is None:
            raise UserError(f"{kind} {name!r}: {error}.") from error
        raise


def fill(kind: str, given: Mapping, info: Mapping[str, Any]) -> dict:
    """The spec of a model or a task, with the fields that only the data knows filled in from `info`.

    A field of a model that the config sets and the data contradicts is an error.
    """
    spec: dict = plain(given)
    if isinstance(spec.get("task"), Mapping):  # a task around a task
        spec["task"] = fill(kind, spec["task"], info)
    for key in fields(kind, spec["name"]):
        if key in info and spec.get(key) is None:
            spec[key] = info[key]
        elif kind != "models" or key not in info:
            continue
        elif not (isinstance(spec[key], int) and spec[key] >= info[key]):
            raise UserError(
                f"config.model.{key} is {spec[key]}, but the data needs {info[key]}. Leave it out "
                "to take it from the data."
            )
    return spec


def complete(config: Mapping) -> dict:
    """The config with its defaults, as plain data."""
    given: dict = plain(config)
    for key in given:
        if key not in DEFAULTS:
            raise UserError(f"The config has no key {key!r}.{nearest(key, DEFAULTS)}")
    whole = {**DEFAULTS, **given}
    for key, default in DEFAULTS.items():
        if isinstance(default, dict) and not isinstance(whole[key], dict):
            raise UserError(f"config.{key} is {whole[key]!r}, but it is a dict.")
    for key in ("model", "task", "optimizer"):
        if not whole[key]:
            raise UserError(f"The config needs config.{key}: dict(name=...).")
    for name in ("checkpoint", "init_from"):
        for key in whole[name]:
            if key not in DEFAULTS[name]:
                raise UserError(f"config.{name} has no key {key!r}.{nearest(key, DEFAULTS[name])}")
        whole[name] = {**DEFAULTS[name], **whole[name]}
    if not isinstance(whole["repeat"], int) or whole["repeat"] < 1:
        raise UserError(f"config.repeat is {whole['repeat']!r}, but it is a number of steps, 1 up.")
    return whole


def plain(value: Any) -> Any:
    """ConfigDicts as dicts, all the way down; everything else as it is."""
    if hasattr(value, "items"):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(plain(v) for v in value)
    return value


def to_json(config: Mapping) -> str:
    """The config as it is written to the run's directory."""
    return json.dumps(plain(config), indent=2, sort_keys=True) + "\n"


def parse_arg(arg: str | None, variants: tuple[str, ...] = (), **defaults) -> SimpleNamespace:
    """Reads what follows the colon in --config=configs/imdb.py:lstm,tiny,seed=3.

    Args:
        variants: names of which one bare word may be given; the first is the default.
        defaults: of the rest; a bare word sets a boolean, `key=value` any other.

    Returns:
        A namespace of `variant` and the defaults' keys.
    """
    values = dict(defaults)
    chosen = None
    for item in filter(None, (arg or "").split(",")):
        key, equals, text = item.partition("=")
        if key in variants and not equals:
            if chosen not in (None, key):
                raise UserError(f"The config is asked for two variants: {chosen} and {key}.")
            chosen = key
        elif isinstance(defaults.get(key), bool):
            if text.lower() not in ("", "true", "false", "1", "0"):
                raise UserError(f"{item!r}: {key} is true or false.")
            values[key] = text.lower() in ("", "true", "1")
        elif key in defaults and equals:
            try:
                values[key] = type(defaults[key])(text)
            except ValueError as error:
                kind = type(defaults[key]).__name__
                raise UserError(f"{item!r}: {key} is of type {kind}.") from error
        else:
            known = [*variants, *(f"{k}=..." if v is not True else k for k, v in defaults.items())]
            raise UserError(f"The config knows no {item!r}.{nearest(key, known)}")
    return SimpleNamespace(variant=chosen or (variants[0] if variants else None), **values)


def differences(old: Mapping, new: Mapping, prefix: str = "") -> list[str]:
    """Lines "key: old -> new" for every leaf in which two configs differ."""
    lines = []
    for key in sorted({*old, *new}):
        a, b = old.get(key, "(absent)"), new.get(key, "(absent)")
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{prefix}{key}.")
        elif (before := _in_words(a)) != (after := _in_words(b)):
            lines.append(f"{prefix}{key}: {before} -> {after}")
    return lines


def _in_words(value: Any) -> str:
    return json.dumps(value, default=str, sort_keys=True)  # in a list of specs, too
