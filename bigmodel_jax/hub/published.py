"""A published model as it lies in a folder: which of ours it is, and what becomes of every array.

config.json                   architecture and sizes
model.safetensors             the parameters, or model.safetensors.index.json and its files
tokenizer.json                where it reads text, or the files that vocabularies.py knows
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax import config, moves, sharding, trees
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.hub import architectures, layout, safetensors, settings, timm
from bigmodel_jax.hub.layout import Head, Link
from bigmodel_jax.hub.safetensors import File


class Published(NamedTuple):
    """A model that was read, but none of its arrays.

    Attributes:
        given: config.json.
        layout: the module of its architecture.
        model: the spec of our model.
        links: what of theirs is what of ours, for every array of our model.
        files: by the names in them.
        names: in the files, by the names of `links`.
        dropped: names in the files for which our model has no place.
        images: of a model of images preprocessor_config.json, or what stands for it; may be empty.
    """

    folder: Path
    given: dict[str, Any]
    layout: ModuleType
    model: dict[str, Any]
    links: list[Link]
    files: dict[str, File]
    names: dict[str, str]
    dropped: list[str]
    images: dict[str, Any]


def known() -> list[str]:
    """The architectures, by the model_type of their config.json."""
    return sorted(module.name for module in pkgutil.iter_modules(architectures.__path__))


def find_layout(name: str) -> ModuleType:
    """The module of one of `known`."""
    return importlib.import_module(f"{architectures.__name__}.{name}")


def read(folder: Path, architecture: str | None = None) -> Published:
    """What `folder` holds.

    Args:
        architecture: the class to read it as, in place of the one that config.json names: what only
            other classes have is then left out.

    Raises:
        UserError: a file is missing or damaged; the architecture or a setting is unknown; or an array
            is missing, of another shape, or has no place in our model.
    """
    where = folder / "config.json"
    given = _read_json(where)
    kind, timms = given.get("model_type"), timm.is_timms(given)
    if kind not in known() and not timms:
        raise UserError(f"{where}: model_type is {kind!r}.{nearest(str(kind), known())}")
    files = safetensors.open_folder(folder)
    if timms:
        shapes = {name: file.entries[name].shape for name, file in files.items()}
        found, given, images = timm.translated(given, shapes, str(where))
    else:
        found, prepared = find_layout(str(kind)), folder / "preprocessor_config.json"
        images = _read_json(prepared) if prepared.is_file() else {}
    head = _head(given, found, where, architecture)
    spec = {"name": found.MODEL, **found.OURS, **head.fields}
    spec |= settings.read(given, found.SETTINGS, found.FIXED, found.IGNORED, str(where))
    if hasattr(found, "read_more"):
        spec |= found.read_more(given, str(where), files)
    if head.fields.get("head") in ("classify", "tag"):
        spec["num_classes"] = len(label_names(given))
    bare = not any(name.startswith(found.PREFIX) for name in files)  # a base model, saved alone
    names = {f"{found.PREFIX if bare else ''}{name}": name for name in files}
    buffers = [name for name in names if any(re.fullmatch(p, name) for p in found.BUFFERS)]
    for name in buffers:
        del names[name]
    floats = {files[name].entries[name].dtype for name in names.values()}
    spec |= _dtypes(floats, folder)
    shapes = our_shapes(spec)
    wanted = layout.links(rows(found, head, spec), shapes)
    dropped = _account(folder, wanted, shapes, names, files, found, head)
    return Published(folder, given, found, spec, wanted, files, names, dropped, images)


def rows(found: ModuleType, head: Head, spec: Mapping[str, Any]) -> tuple[layout.Row, ...]:
    """All rows of a class of an architecture, for a model of ours."""
    more = found.more_rows(spec) if hasattr(found, "more_rows") else ()
    return (*found.PARAMETERS, *head.rows, *more)


def our_shapes(spec: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and dtype of each parameter and running statistic of our model by path (layout.py)."""
    return by_path(sharding.unbox(jax.eval_shape(_init(spec))))


def by_path(variables: Mapping[str, Any]) -> dict[str, Any]:
    """A model's variables under the paths that the tables have (layout.py)."""
    return {path.removeprefix("params/"): x for path, x in trees.flatten(variables).items()}


def abstract(spec: Mapping[str, Any], mesh: jax.sharding.Mesh) -> dict[str, Any]:
    """The same as a tree of variables, with shardings; under `sharding.use(mesh)`."""
    return sharding.abstract(_init(spec), mesh)


def _init(spec):
    model = config.build("models", spec)
    tokens = np.zeros((1, 4), np.int32)
    inputs = (tokens, tokens) if hasattr(model, "encode") else (tokens,)
    if hasattr(model, "features"):
        size, channels = getattr(model, "image_size", 32), getattr(model, "channels", 3)
        inputs = (np.zeros((1, size, size, channels), np.float32),)
    return lambda: model.init(jax.random.key(0), *inputs)


def label_names(given: Mapping[str, Any]) -> list[str]:
    """The names of classes, by number; transformers leaves out those of two without names."""
    labels = given.get("id2label") or {i: f"LABEL_{i}" for i in range(given.get("num_labels", 2))}
    return [str(labels[key]) for key in sorted(labels, key=int)]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no table of settings.")
    return content


def _head(given, found, where, architecture) -> Head:
    """Of the class that is asked for, or that config.json names first."""
    name = architecture or (given.get("architectures") or [next(iter(found.HEADS))])[0]
    if name not in found.HEADS:
        what = "--architecture" if architecture else f"{where}: architectures"
        raise UserError(f"{what} is {name!r}.{nearest(str(name), found.HEADS)}")
    head = found.HEADS[name]
    if architecture is None:
        return head
    own = {row[0] for row in head.rows}
    others = {row[0] for other in found.HEADS.values() for row in other.rows} - own
    unused = {pattern for other in found.HEADS.values() for pattern in other.unused}
    unused = {p for p in unused if not any(re.fullmatch(p, name) for name in own)}
    return head._replace(unused=(*map(re.escape, sorted(others)), *sorted(unused)))


def _dtypes(floats, folder) -> dict[str, str]:
    """Parameters stay what they are; of several kinds all become the widest."""
    if bad := [d for d in floats if d.name not in ("float32", "float16", "bfloat16")]:
        raise UserError(
            f"{folder}: parameters are of {bad[0].name}; here they are of float32, float16 or bfloat16."
        )
    kept = floats.pop() if len(floats) == 1 else np.dtype(np.float32)
    compute = "bfloat16" if kept.name == "bfloat16" else "float32"
    return {"param_dtype": kept.name, "dtype": compute}


def _account(folder, wanted, shapes, names, files, found, head) -> list[str]:
    """Names in the files that are not wanted; raises a UserError where anything is not accounted for."""
    expected = {link.theirs for link in wanted}
    rest = {whole: name for whole, name in names.items() if whole not in expected}
    ties = dict(found.TIES)
    dropped, left = [], []
    for whole, name in rest.items():
        if whole in ties and ties[whole] in names:
            other = names[ties[whole]]
            if not np.array_equal(files[name].view(name), files[other].view(other)):
                raise UserError(
                    f"{folder}: by config.json {name} is {other}, but the files hold two different "
                    "arrays: set tie_word_embeddings to false there."
                )
            files[name].forget(name)
            files[other].forget(other)
        elif any(re.fullmatch(p, whole) for p in head.unused):
            dropped.append(name)
        else:
            left.append(name)
    missing = [link for link in wanted if link.theirs not in names]
    misfits = []
    for link in wanted:
        if link.theirs in names:
            shape = files[names[link.theirs]].entries[names[link.theirs]].shape
            if shape != link.shape(shapes):
                misfits.append(f"  {link.theirs} is {list(shape)}, not {list(link.shape(shapes))}")
    if not (left or missing or misfits):
        return dropped
    lines = [f"{folder} does not account for every array."]
    if left:
        lines += [f"In the files, with no place in our model ({len(left)}):"]
        lines += [f"  {name}{nearest_of(name, missing)}" for name in left]
    if missing:
        lines += [f"Of our model, not in the files ({len(missing)}):"]
        lines += [f"  {link.theirs}, for {' and '.join(link.ours)}" for link in missing]
    if misfits:
        lines += [f"Of another shape than config.json says ({len(misfits)}):", *misfits]
    if len(lines) > moves.SHOWN:
        lines = [*lines[: moves.SHOWN], f"  and {len(lines) - moves.SHOWN} lines more"]
    raise UserError("\n".join(lines))


def nearest_of(name, missing) -> str:
    """The nearest name that is missing, if one is near."""
    text = nearest(name, [link.theirs for link in missing])
    return text if text.startswith(" Did") else ""
