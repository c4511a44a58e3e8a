"""Which files hold which split, by their names."""

import glob
import re
from collections.abc import Callable
from pathlib import Path

from bigmodel_jax.data.compressed import CODECS, stem
from bigmodel_jax.data.own_files import EXTENSIONS, ClassFolder, TextFile, extension, visible
from bigmodel_jax.data.readers import Unavailable
from bigmodel_jax.errors import UserError

SPLITS = {
    "train": "train",
    "test": "test",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
# train, train-00000-of-00003, train_1: the split, and the shard of it.
_NAMED = re.compile(rf"({'|'.join(SPLITS)})(?:[-_.](\d+)(?:-of-(\d+))?)?")

Part = TextFile | ClassFolder
MakeFile = Callable[[Path], TextFile]


def split_of(path: Path) -> str | None:
    """The split that a file is named after, if it is."""
    match = _NAMED.fullmatch(stem(path))
    return SPLITS[match[1]] if match else None


def layout(path: str, make: MakeFile) -> tuple[str, dict[str, list[Part]]]:
    """(name, what holds each split) of the data at `path`; there is always "train".

    Args:
        path: a file, a folder, or a pattern such as "data/*.csv".
        make: opens one file.

    Raises:
        Unavailable: there is nothing.
        UserError: it is not clear which file is what.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return stem(root.resolve()), {"train": [make(root)]}
    if root.is_dir():
        return root.resolve().name, _folder(root, make)
    if not glob.has_magic(path):
        raise Unavailable(f"There is no file or folder {path}.")
    files = [Path(p) for p in sorted(glob.glob(str(root), recursive=True)) if Path(p).is_file()]
    if not files:
        raise Unavailable(f"There is no file like {path}.")
    named = [file for file in files if _NAMED.fullmatch(stem(file))]
    name = root.parent.resolve().name
    if not named:
        return name, {"train": [make(file) for file in files]}
    if len(named) < len(files):
        other = next(file for file in files if file not in named)
        raise UserError(
            f"{named[0].name} is named after a split, {other.name} is not: {path} must name files "
            "of one kind."
        )
    return name, _with_train(_by_split(files, make), root)


def _folder(root: Path, make: MakeFile) -> dict[str, list[Part]]:
    inside = visible(root)
    data = [p for p in inside if p.is_file() and extension(p) in EXTENSIONS]
    files = [p for p in data if _NAMED.fullmatch(stem(p))]
    folders = [p for p in inside if p.is_dir()]
    if files:
        _say_ignored(root, [p for p in data if p not in files])
        _say_ignored(root, [p for p in folders if p.name in SPLITS])
        return _with_train(_by_split(files, make), root)
    named = [p for p in folders if p.name in SPLITS]
    if folders:
        _say_ignored(root, data)
    if folders and not named:
        return {"train": [ClassFolder(root)]}
    if named:
        _say_ignored(root, [p for p in folders if p not in named])
    found: dict[str, list[Part]] = {}
    for path in named:
        split = SPLITS[path.name]
        if split in found:
            raise UserError(f"Two folders of {root} would be the {split} split: keep one.")
        shards = [p for p in visible(path) if p.is_file() and extension(p) in EXTENSIONS]
        flat = shards and not any(p.is_dir() for p in visible(path))
        if not flat:
            _say_ignored(path, shards)
        found[split] = [make(p) for p in shards] if flat else [ClassFolder(path)]
    return _with_train(found, root)


def _say_ignored(root: Path, paths: list[Path]) -> None:
    """Names what might be data, too, and is not read."""
    if paths:
        names = ", ".join(p.name + "/" * p.is_dir() for p in paths[:5])
        more = f" and {len(paths) - 5:,} others" if len(paths) > 5 else ""
        print(f"NOTE: what {root} holds besides is not read: {names}{more}.", flush=True)


def _by_split(files: list[Path], make: MakeFile) -> dict[str, list[Part]]:
    """The parts of each split: one file, or all shards of one."""
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault(SPLITS[_name(path)[0]], []).append(path)
    for split, paths in found.items():
        kinds = {(_name(p)[0], bool(_name(p)[1]), _name(p)[2], "".join(p.suffixes)) for p in paths}
        name, sharded, count, _ = next(iter(kinds))
        if len(kinds) > 1 or (len(paths) > 1 and not sharded):
            raise UserError(f"Both {paths[0]} and {paths[1]} would be the {split} split: keep one.")
        if count and int(count) != len(paths):
            raise UserError(
                f"Of the {int(count)} files {name}-*-of-{count} there are {len(paths)} in "
                f"{paths[0].parent}."
            )
    return {split: [make(path) for path in paths] for split, paths in found.items()}


def _name(path: Path) -> tuple[str, str | None, str | None]:
    """(split's name, number of the shard, number of shards)."""
    match = _NAMED.fullmatch(stem(path))
    assert match
    return match[1], match[2], match[3]


def _with_train(found: dict[str, list[Part]], root: Path) -> dict[str, list[Part]]:
    if "train" not in found:
        raise UserError(
            f"{root} holds no train split: it needs a file train{', train'.join(EXTENSIONS)} "
            f"(perhaps with {' or '.join(CODECS)}), a folder train, or class folders. Files of "
            "other names are given by a pattern, 'DIR/*.csv'."
        )
    return found
