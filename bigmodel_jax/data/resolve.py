"""Picks the data set of a run: the first of the config's candidates that is to be had.

A config names its candidates in order and touches no file; this looks, once, before anything is
built. It never waits for a network that is not there, and never passes generated data off as real.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax import config
from bigmodel_jax.data import builders, prepared, splits
from bigmodel_jax.data.download import probe
from bigmodel_jax.data.readers import Unavailable
from bigmodel_jax.errors import UserError


class Resolved(NamedTuple):
    """What was chosen; `substitute` is a sentence for the user if it is not the first candidate."""

    spec: dict
    reader: Any
    substitute: str | None


# Of the user's own files, named beside the other options of config.data.
OWN_FILES = (
    "path", "text_column", "label_column", "pair_column", "target", "label_separator", "image_column",
)  # fmt: skip


def resolve_data(
    given: Mapping, *, data_dir: str, strict: bool = False, num_processes: int = 1
) -> tuple[dict, str | None]:
    """config.data with one `reader` in place of candidates, and the splits that it has.

    Returns:
        The dict, and a sentence for the user where the reader is a substitute.
    """
    data: dict = config.plain(given)
    substitute, strict = None, strict or bool(data.pop("strict", False))
    if data.get("path") and "candidates" in data:
        del data["candidates"]  # the user's own text instead
    labelled = data.get("name") in ("text", "images")  # others look into their readers themselves
    if "candidates" not in data and not (labelled and "reader" in data):
        return _with_absolute_paths(data), None
    if "candidates" in data:
        chosen = resolve(
            data.pop("candidates"), data_dir=data_dir, strict=strict, num_processes=num_processes
        )
        data["reader"], reader, substitute = (
            config.plain(chosen.spec),
            chosen.reader,
            chosen.substitute,
        )
    else:
        own = {key: data.pop(key) for key in OWN_FILES if key in data}
        kind = config.component("data.readers", data["reader"]["name"])
        generated = getattr(kind, "synthetic", False)  # which the user's own take the place of
        if own.get("path"):
            files = "image_files" if data["name"] == "images" else "files"
            given = {"name": files} if generated else data["reader"]
            data["reader"] = {**given, **_with_absolute_paths(own)}
        elif own and not generated:
            what = data["name"].replace("text", "texts")
            raise UserError(f"Where are your {what}? --config.data.path=FILE_OR_FOLDER names them.")
        reader = config.build("data.readers", data["reader"], data_dir=data_dir)
    data["splits"] = splits.complete(data["splits"], reader.splits)
    return data, substitute


def _with_absolute_paths(data: Mapping) -> dict:
    """The same for any later command, wherever it runs."""
    found = dict(data)
    if found.get("path"):
        found["path"] = str(Path(found["path"]).expanduser().absolute())
    if "corpora" in found:
        found["corpora"] = tuple(map(_with_absolute_paths, found["corpora"]))
    return found


def resolve(
    candidates: Sequence[Mapping], *, data_dir: str | None, strict: bool, num_processes: int
) -> Resolved:
    """The first candidate that is here, or that can be downloaded and prepared now.

    Args:
        candidates: specs of readers, `dict(name="tfds", dataset="imdb_reviews")`.
        data_dir: where prepared data sets are; None for the default.
        strict: take no generated data in place of a data set. Runs of several processes never do.

    Raises:
        UserError: none is to be had, within seconds, with the ways to get the first; or what is
            there is faulty.
    """
    if not candidates:
        raise UserError("The config names no data: config.data.candidates is empty.")
    data_dir = data_dir or prepared.default_data_dir()
    reasons, way = [], ""
    for spec in map(config.plain, candidates):
        try:
            reader = config.build("data.readers", spec, data_dir=data_dir)
        except Unavailable as error:
            dataset = spec.get("dataset")
            if spec["name"] != "tfds" or dataset not in builders.names():
                reasons.append(str(error).removesuffix("."))
                continue
            builder = builders.load(dataset)
            several = "it is published as several files" if builder.SHA256 is None else None
            if obstacle := several or probe(builder.URL):
                reasons.append(
                    f"{dataset} is neither prepared in {data_dir} nor downloadable ({obstacle})"
                )
                way = way or f" {prepared.ways(dataset, data_dir)}"
                continue
            prepared.prepare(dataset, data_dir)
            reader = config.build("data.readers", spec, data_dir=data_dir)
        if reader.synthetic and reasons and (strict or num_processes > 1):
            continue
        if not reasons:
            return Resolved(spec, reader, None)
        wanted = config.plain(candidates[0])
        substitute = f"{'; '.join(reasons)}: training on {reader.name} instead"
        if reader.synthetic:
            substitute += f", which is generated and is not {wanted.get('dataset', 'real data')}"
        return Resolved(spec, reader, f"{substitute}.{way}")
    raise UserError(f"{'; '.join(reasons)}.{way}")
