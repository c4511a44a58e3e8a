"""Compressed files and Parquet, unpacked once into the cache, where they are read at random.

Examples are read in a mixed order, and neither format can be entered in the middle of a block. A
folder of the cache may be deleted: it is made again.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from bigmodel_jax.data import parquet
from bigmodel_jax.data.compressed import CODECS, extension, open_plain
from bigmodel_jax.data.unfinished import new_file

PACKED = (*CODECS, ".parquet")


def unpack(path: Path, columns: Mapping[str, str], cache: Path) -> Path:
    """The plain file that holds what `path` holds, of Parquet the `columns` as JSONL.

    It is named by the content of `path`, and appears whole or not at all.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    is_parquet = extension(path) == ".parquet"
    if is_parquet:
        digest.update(json.dumps(list(columns.values())).encode())
    suffix = ".jsonl" if is_parquet else extension(path)
    target = cache / f"unpacked-{digest.hexdigest()[:20]}{suffix}"
    if target.is_file():
        return target
    print(f"Unpacking {path} into {target}.", flush=True)
    with new_file(target) as part:
        if is_parquet:
            part.writelines(parquet.lines(path, columns))
        else:
            with open_plain(path) as plain:
                shutil.copyfileobj(plain, part, 1 << 20)
    return target
