"""Remembers what a scan of files found, so that gigabytes are read once and not at each start.

It holds as long as no file's path, size or time of change is another; files changed within the last
seconds are not remembered, for their next change might leave the time the same.
"""

import hashlib
import json
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data.targets import Labels
from bigmodel_jax.data.unfinished import new_file

VERSION = 1  # raise it when scanning finds something else
SETTLED = 3.0  # seconds since the last change


class Scan(NamedTuple):
    """Where examples are, by split.

    Attributes:
        label_names: in order.
        parts: which file of the split an example is in, int32 [examples].
        positions: where in that file, int64 [examples].
        labels: of the examples.
        digest: sha256 of all contents, in hexadecimal.
    """

    label_names: tuple[str, ...]
    parts: dict[str, np.ndarray]
    positions: dict[str, np.ndarray]
    labels: dict[str, Labels]
    digest: str


def recall(parts: Mapping[str, Sequence], options: Sequence, cache: Path) -> Scan | None:
    """The scan of these files as they are now, or None."""
    try:
        with _place(parts, options, cache)[0].open("rb") as file, np.load(file) as saved:
            facts = json.loads(str(saved["facts"]))
            arrays = dict(saved)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    splits = facts["splits"]
    return Scan(
        tuple(facts["label_names"]),
        {s: arrays[f"parts/{s}"] for s in splits},
        {s: arrays[f"positions/{s}"] for s in splits},
        {s: Labels(arrays[f"values/{s}"], arrays.get(f"ends/{s}")) for s in splits},
        facts["digest"],
    )


def remember(scan: Scan, parts: Mapping[str, Sequence], options: Sequence, cache: Path) -> None:
    """Saves the scan, unless a file has just been changed."""
    path, newest = _place(parts, options, cache)
    if time.time() - newest < SETTLED:
        return
    facts = {
        "label_names": scan.label_names,
        "splits": list(scan.positions),
        "digest": scan.digest,
    }
    arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
    for split, labels in scan.labels.items():
        arrays |= {
            f"parts/{split}": scan.parts[split],
            f"positions/{split}": scan.positions[split],
            f"values/{split}": labels.values,
        }
        if labels.ends is not None:
            arrays[f"ends/{split}"] = labels.ends
    with new_file(path) as file:
        np.savez(file, **arrays)


def _place(parts, options, cache) -> tuple[Path, float]:
    """Where the scan is saved, and when the newest file was changed, in seconds."""
    digest = hashlib.sha256(json.dumps([VERSION, options]).encode())
    newest = 0
    for split, files in sorted(parts.items()):
        for path in (path for part in files for path in part.files):
            stat = path.stat()
            line = [split, str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino]
            digest.update(json.dumps(line).encode())
            newest = max(newest, stat.st_mtime_ns)
    return cache / f"scan-{digest.hexdigest()[:20]}.npz", newest / 1e9
