"""Changes of a config, as the command line writes them: `optimizer.lr=3e-4`, `model={"name": "cnn"}`."""

import ast
import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bigmodel_jax import config as configs
from bigmodel_jax import schema
from bigmodel_jax.errors import UserError

Overrides = dict[str, Any]  # by the dotted key; a dict replaces the whole dict that was there


def split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that lie in no bracket and no quotes, stripped."""
    parts, depth, quote, begin = [], 0, "", 0
    for i, letter in enumerate(text):
        if quote or letter in "'\"":
            quote = "" if letter == quote else quote or letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == separator and not depth:
            parts.append(text[begin:i])
            begin = i + 1
    return [part.strip() for part in [*parts, text[begin:]]]


def assignment(text: str, example: str) -> tuple[str, str]:
    """("optimizer.lr", "1e-3") of "optimizer.lr=1e-3".

    Raises:
        UserError: it is none; `example` shows one.
    """
    match = re.fullmatch(r"\s*(?:config\.)?([A-Za-z_][\w.]*)\s*=(.*)", text, re.DOTALL)
    if not match or not match[2].strip():
        raise UserError(f"{text.strip()!r} does not say what to vary, as {example!r} would.")
    return match[1], match[2].strip()


def value(config: Mapping, key: str, text: str) -> Any:
    """What a text means for a key, by the type of the value that the config has there.

    Raises:
        UserError: the config has a number there, say, and the text is none.
    """
    old = get(config, key)
    if isinstance(old, str):
        return text
    if text.lower() in ("true", "false"):
        read: Any = text.lower() == "true"
    else:
        try:
            read = configs.plain(ast.literal_eval(text))
        except (SyntaxError, ValueError):
            read = text
    return fitting(key, read, old)


def get(config: Mapping, key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    place: Any = config
    for part in key.split("."):
        if not isinstance(place, Mapping) or part not in place:
            return None
        place = place[part]
    return place


def fitting(key: str, new: Any, old: Any) -> Any:
    """`new` as the type of `old`, which it is to replace: whole numbers may become others."""
    if old is None or new is None or isinstance(old, Mapping):
        return new
    if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
        return float(new)
    if type(new) is not type(old):
        words = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a tuple"}
        kind = words.get(type(old), f"of type {type(old).__name__}")
        raise UserError(f"{key} cannot be {new!r}: the config says {old!r}, which is {kind}.")
    return new


def apply(config: Mapping, overrides: Mapping[str, Any]) -> dict:
    """The completed config with the overrides in it; the one that was given stays as it is.

    Raises:
        UserError: a key that nothing reads, a value of another type than the config's.
    """
    changed = copy.deepcopy(configs.plain(config))
    for key, new in overrides.items():
        *parents, last = key.split(".")
        place = changed
        for i, parent in enumerate(parents):
            below = place.setdefault(parent, {})
            if not isinstance(below, dict):
                raise UserError(
                    f"config.{'.'.join(parents[: i + 1])} is {below!r}: it has no keys."
                )
            place = below
        place[last] = fitting(key, configs.plain(new), place.get(last))
    changed = configs.complete(changed)
    schema.check(changed)
    return changed


def shown(value: Any) -> str:
    """A value in a variant's name: 0.001, "adam lr=0.001" for a dict of that name, 128-64 for a tuple."""
    if isinstance(value, Mapping):
        rest = [f"{k}={shown(v)}" for k, v in value.items() if k != "name"]
        return " ".join([str(value["name"]), *rest] if "name" in value else rest) or "none"
    if isinstance(value, (tuple, list)):
        return "-".join(map(shown, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def name(overrides: Mapping[str, Any], among: Sequence[str] = ()) -> str:
    """A variant's name by what it changes: "lr=0.001,width=64".

    Args:
        among: all keys that vary. Of two that end alike more is written out.
    """
    return ",".join(f"{_short(k, [*among, *overrides])}={shown(v)}" for k, v in overrides.items())


def _short(key: str, among: Sequence[str]) -> str:
    parts = key.split(".")
    for count in range(1, len(parts)):
        ending = ".".join(parts[-count:])
        if parts[-count] != "name" and not any(
            k != key and (k == ending or k.endswith(f".{ending}")) for k in among
        ):
            return ending
    return key
