"""Which published architecture a model of ours is of."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from bigmodel_jax import config
from bigmodel_jax.errors import UserError
from bigmodel_jax.hub import settings
from bigmodel_jax.hub.layout import Head
from bigmodel_jax.hub.published import find_layout, known
from bigmodel_jax.hub.settings import Unlike

# Fields of our models that say nothing about what is computed once training is over.
FREE = {
    "name", "parent", "head", "num_classes", "pooling", "dropout", "embed_dropout", "word_dropout",
    "scan", "remat", "microbatches", "dtype", "param_dtype", "max_length", "vocabulary_size", "drop_path", "momentum",
    "zero_init",
}  # fmt: skip
OF_HEADS = ("head", "pooling")


class Target(NamedTuple):
    """What a model is published as; `model` has all its fields, `settings` are those of config.json."""

    name: str
    layout: ModuleType
    head: Head
    architecture: str
    model: dict[str, Any]
    settings: dict[str, Any]


def find(model: Mapping[str, Any], kind: str | None = None, architecture: str = "") -> Target:
    """The architecture that a model's spec is of.

    Args:
        kind: the model_type that the model was imported from, where it was; else the first that fits.
        architecture: the class, the same.

    Raises:
        UserError: there is none; says how the nearest differs.
    """
    spec = full(model)
    unlike = []
    for name in sorted(known(), key=lambda name: name != kind):
        found = find_layout(name)
        if model["name"] != found.MODEL:
            continue
        try:
            written = settings.write(spec, found.SETTINGS)
            if hasattr(found, "write_more"):
                written |= found.write_more(spec)
            settings.demand(spec, _demanded(found, model["name"]))
            head = _head(spec, found, architecture)
        except Unlike as error:
            unlike.append(f"{name} has {error}")
            continue
        return Target(name, found, found.HEADS[head], head, spec, written)
    if not unlike:
        raise UserError(f"No published architecture is known for the model {model['name']!r}.")
    raise UserError(f"No published architecture is like this model: {'; '.join(unlike)}.")


def full(model: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a model, those that its spec leaves out as its class has them."""
    built = config.build("models", model)
    spec = {name: getattr(built, name) for name in config.fields("models", model["name"])}
    if spec.get("mlp_dim", 0) is None:
        spec["mlp_dim"] = 4 * spec["width"]
    return {name: list(x) if isinstance(x, tuple) else x for name, x in spec.items()}


def _demanded(found: ModuleType, name: str) -> dict[str, Any]:
    """What each field that the architecture does not write must be: as it says, or as by default."""
    kind = config.component("models", name)
    written = {setting.ours for setting in found.SETTINGS} | set(getattr(found, "WRITTEN", ()))
    fields = {f for f in config.fields("models", name) if f not in FREE and f not in written}
    return {field: found.OURS.get(field, getattr(kind, field)) for field in sorted(fields)}


def _head(spec: Mapping, found: ModuleType, architecture: str) -> str:
    """The first class whose fields are the model's, or the wanted one."""
    fits = [
        name
        for name, head in found.HEADS.items()
        if head.whole and all(spec.get(k, v) == v for k, v in head.fields.items())
    ]
    if not fits:
        known = dict.fromkeys(_words(x.fields) for x in found.HEADS.values() if x.whole)
        raise Unlike(f"{' or '.join(known)}, not {_words({k: spec.get(k) for k in OF_HEADS})}")
    return architecture if architecture in fits else fits[0]


def _words(fields: Mapping[str, Any]) -> str:
    return " with ".join(f"{key}={value!r}" for key, value in fields.items())
