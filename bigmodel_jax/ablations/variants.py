"""What varies: grids, lists that go together, differences from a baseline, the config's own.

Every variant is resolved and checked against the schema before the first trial runs.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bigmodel_jax import config as configs
from bigmodel_jax.ablations import overrides as changes
from bigmodel_jax.ablations.overrides import Overrides
from bigmodel_jax.errors import UserError, nearest

BASELINE = "baseline"
GRID, ZIP = "optimizer.lr=1e-3,3e-4", "model.width=64,128; optimizer.lr=1e-3,5e-4"
DIFF = "no dropout: model.dropout=0.0; model.embed_dropout=0.0"

Base = Callable[[int], dict]  # the completed config of a seed


class Variant(NamedTuple):
    """A config that differs from the one given in `overrides`."""

    name: str
    overrides: Overrides

    @property
    def folder(self) -> str:
        """The name, as a file system takes it."""
        return re.sub(r"[^\w.=,+-]+", "-", self.name).strip("-.")


def cells(config: Mapping, grids: Sequence[str], zips: Sequence[str]) -> list[Variant]:
    """All combinations of --grid's values and --zip's rows, the last of them varying fastest.

    Raises:
        UserError: what is given cannot be read, or the lists of a zip are not of one length.
    """
    axes = [[_lists(config, text, GRID)] for text in grids]
    axes += [[_lists(config, part, ZIP) for part in changes.split(text, ";")] for text in zips]
    rows = []
    for axis in axes:
        lengths = {key: len(values) for key, values in axis}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{key} has {count}" for key, count in lengths.items())
            raise UserError(f"The lists of a --zip go together, but {counts} values.")
        names, columns = [key for key, _ in axis], [values for _, values in axis]
        rows.append([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
    keys = [key for axis in axes for key, _ in axis]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"{twice[0]} varies twice: give all its values at one place.")
    found = [{k: v for row in cell for k, v in row.items()} for cell in itertools.product(*rows)]
    return [Variant(changes.name(cell, keys), cell) for cell in found]


def _lists(config, text, example) -> tuple[str, list]:
    key, values = changes.assignment(text, example)
    return key, [changes.value(config, key, part) for part in changes.split(values, ",")]


def differences(config: Mapping, texts: Sequence[str]) -> list[Variant]:
    """One variant for each --diff, "[name:] key=value[; key=value ...]"."""
    found = []
    for text in texts:
        named = re.match(r"([^=;]*?):(?=[^=]*=)", text)
        given: Overrides = {}
        for part in changes.split(text[named.end() :] if named else text, ";"):
            key, written = changes.assignment(part, DIFF)
            given[key] = changes.value(config, key, written)
        found.append(Variant(named[1].strip() if named else changes.name(given), given))
    return found


def declared(ablations: Any) -> list[Variant]:
    """Those that a config's get_ablations() returns: {name: overrides}, or overrides to be named.

    Raises:
        UserError: it returns something else.
    """
    if isinstance(ablations, Mapping):
        pairs: Iterable = ablations.items()
    elif isinstance(ablations, Iterable):
        pairs = [(None, given) for given in ablations]
    else:
        pairs = [(None, ablations)]
    found = []
    for name, given in pairs:
        if not isinstance(given, Mapping):
            raise UserError(
                f"get_ablations() has {given!r}, where it is a dict of overrides such as "
                "{'optimizer.lr': 1e-3}."
            )
        given = {str(k).removeprefix("config."): configs.plain(v) for k, v in given.items()}
        found.append(Variant(str(name) if name else changes.name(given) or BASELINE, given))
    return found


def with_baseline(found: Sequence[Variant]) -> list[Variant]:
    """Differences after what they differ from: the config as it is, unless one is that already."""
    whole = [v for v in found if not v.overrides]
    return [*(whole or [Variant(BASELINE, {})]), *(v for v in found if v.overrides)]


def check(base: Base, seed: int, found: Sequence[Variant], baseline: str = "") -> Variant:
    """Resolves every variant once; the one that the others are compared with.

    That is the one named `baseline`; else the one that equals the config as it is; else the first.

    Raises:
        UserError: a variant changes nothing, two are of one name or of one config, no variant is the
            baseline, a key is not there.
    """
    names: dict[str, str] = {}
    for variant in found:
        if variant.folder.lower() in names:
            raise UserError(
                f"Two variants are called {variant.name!r}: name one of them otherwise."
                if variant.name == names[variant.folder.lower()]
                else f"The variants {variant.name!r} and {names[variant.folder.lower()]!r} would share "
                f"the folder {variant.folder}: name one of them otherwise."
            )
        names[variant.folder.lower()] = variant.name
        if not variant.folder:
            raise UserError(f"A variant is called {variant.name!r}: give it a name of letters.")
    plain, seen = configs.to_json(base(seed)), {}
    for variant in found:
        try:
            resolved = configs.to_json(changes.apply(base(seed), variant.overrides))
        except UserError as error:
            raise UserError(f"Variant {variant.name!r}: {error}") from error
        if resolved in seen:
            other = seen[resolved]
            same = "changes nothing" if not other.overrides else f"is {other.name!r} again"
            raise UserError(f"The variant {variant.name!r} {same}: leave it out, or mend it.")
        seen[resolved] = variant
    if not baseline:
        return seen.get(plain, found[0])
    chosen = [v for v in found if v.name == baseline]
    if not chosen:
        raise UserError(
            f"--baseline={baseline} is no variant.{nearest(baseline, [v.name for v in found])}"
        )
    return chosen[0]
