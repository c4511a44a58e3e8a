"""Pretrained word vectors: GloVe's text format and word2vec's, plain or .gz.

the 0.418 0.24968 ...          a word and its values a line (GloVe), after a first line
400000 100                     "count dimension" in word2vec's format, which fastText has too
"""

import contextlib
import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError


def load(path: str | Path, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of those `words` that the file has.

    Reads line by line and keeps what is asked for alone, until it has all of it. Words must be
    equal to the letter; of a word that comes twice the first counts.

    Returns:
        Positions in `words`, `[found]` int32, in increasing order, and `[found, dim]` float32.

    Raises:
        UserError: there is no such file, a line does not have as many values as the others, one
            that is needed has something else than numbers, or no word is found.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"There is no file of word vectors {path}.")
    wanted = {word.encode(): row for row, word in enumerate(words)}
    found: dict[int, np.ndarray] = {}
    try:
        with _open(path) as lines:
            _read(path, lines, wanted, found)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged or cut short ({error}); fetch it again.") from error
    if not found:
        raise UserError(
            f"{path} has vectors for none of the vocabulary's {len(words)} words, such as "
            f"{', '.join(map(repr, words[-3:]))}: is it of another language, or upper case?"
        )
    rows = sorted(found)
    return np.array(rows, np.int32), np.stack([found[row] for row in rows])


def start_from(path: str | Path, words: Sequence[str], variables: Mapping) -> dict:
    """`variables` whose embeddings of `words` are those of the file; other words keep their own.

    Args:
        words: index = id.
        variables: with parameters "embed/embedding", `[words, dim]`, of any models.

    Raises:
        UserError: as `load`; or no embedding has the file's dimension.
    """
    rows, vectors = load(path, words)
    params = trees.flatten(variables["params"])
    tables = {k: x for k, x in params.items() if f"/{k}".endswith("/embed/embedding")}
    fitting = {k: x for k, x in tables.items() if x.shape == (len(words), vectors.shape[1])}
    if not fitting:
        widths = ", ".join(f"{k} {x.shape}" for k, x in tables.items()) or "none"
        raise UserError(
            f"{path} has vectors of {vectors.shape[1]} values for {len(words)} words, but the model "
            f"has no such embedding (it has {widths}): set config.model.width={vectors.shape[1]}."
        )
    print(f"{path}: vectors of {len(rows):,} of {len(words):,} words.", flush=True)

    def fill(name, table):
        if name not in fitting:
            return table
        table = jnp.asarray(table)
        parts = []
        for shard in table.addressable_shards:  # no process may have all of it
            part, (own, columns) = np.array(shard.data), shard.index
            start, stop, _ = own.indices(len(words))
            inside = (rows >= start) & (rows < stop)
            part[rows[inside] - start] = vectors[inside][:, columns]
            parts.append(jax.device_put(part, shard.device))
        return jax.make_array_from_single_device_arrays(table.shape, table.sharding, parts)

    return {**variables, "params": trees.map_paths(fill, variables["params"])}


def _open(path):
    """The file's lines as bytes, unpacked by what it is and not by what it is called."""
    with open(path, "rb") as file:
        start = file.read(4)
    if start.startswith(b"PK\x03\x04"):
        raise UserError(f"{path} is a zip archive: unpack it, and name the text file in it.")
    return gzip.open(path) if start.startswith(b"\x1f\x8b") else open(path, "rb")


def _read(path, lines, wanted, found):
    """Fills `found` with the vectors of the wanted words, by row."""
    dim = count = None
    seen = 0
    for number, line in enumerate(lines, 1):
        line = line.rstrip()
        if number == 1:
            count, dim = _header(path, line)
            if count is not None:
                continue
        word, values = _split(path, number, line, dim)
        seen += 1
        row = wanted.get(word)
        if row is not None and row not in found:
            found[row] = _numbers(path, number, values)
            if len(found) == len(wanted):
                return
    if count is not None and seen != count:
        raise UserError(f"{path} says that it has {count} words and has {seen}; fetch it again.")


def _header(path, line):
    """(count, dim) by the first line; a count of None where it is a word's already."""
    fields = line.split()
    if len(fields) < 2:
        raise UserError(
            f"{path} is not a file of word vectors: its first line is neither a word and its "
            "values nor the number of words and of dimensions."
        )
    if len(fields) == 2:
        with contextlib.suppress(ValueError):
            return int(fields[0]), int(fields[1])
    return None, len(fields) - 1


def _split(path, number, line, dim):
    """(word, values) as bytes. A few words of GloVe's have spaces in them."""
    parts = line.rsplit(b" ", dim)
    surplus = parts[0].rpartition(b" ")[2] if b" " in parts[0] else b""
    if len(parts) <= dim or _is_number(surplus):
        values = len(line.split()) - 1
        raise UserError(
            f"{path}, line {number}: {max(values, 0)} values after the word where the first line "
            f"has {dim}. It must be text, a word and its values a line (not word2vec's binary form)."
        )
    return parts[0], parts[1:]


def _is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True


def _numbers(path, number, values):
    try:
        vector = np.array([float(value) for value in values], np.float32)
    except ValueError:
        vector = np.array([np.nan])
    if not np.isfinite(vector).all():
        raise UserError(f"{path}, line {number}: a value is not a finite number.")
    return vector
