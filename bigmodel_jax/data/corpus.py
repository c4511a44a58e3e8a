"""Opens a split of a reader as arrays of token ids: from the cache, or tokenised now.

The first to come trains the tokenizer on the training part.
"""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data import tokenized
from bigmodel_jax.data.hashes import split_hashes
from bigmodel_jax.data.limit import Limit
from bigmodel_jax.data.progress import progress
from bigmodel_jax.data.readers import texts_of
from bigmodel_jax.data.rows import around
from bigmodel_jax.data.unfinished import new_folder
from bigmodel_jax.errors import UserError, nearest


def open_split(reader, splits, split, spec, data_dir, max_length, keep):
    """(tokenizer, tokenised arrays) of a split, from the cache or made now.

    Of texts much longer than `max_length` tokens only what `keep` names is read (data/limit.py).
    """
    limit = Limit(max_length, "head" if getattr(reader, "pairs", False) else keep)
    kept = {"reader": reader.fingerprint(), "tokenizer": config.plain(spec), "limit": str(limit)}
    target = getattr(reader, "target", "class")
    if target != "class" or getattr(reader, "pairs", False):
        kept |= {"target": target, "pairs": getattr(reader, "pairs", False)}
    tokenizer = config.build("data.tokenizers", spec)
    if hasattr(tokenizer, "identity"):
        kept["file"] = tokenizer.identity()
    train = splits["train"]
    name = tokenized.fingerprint(**kept, train=train, split="vocabulary")
    vocabulary = tokenized.folder(data_dir, name)
    if not load_cached(tokenizer, vocabulary):
        print(f"Training the tokenizer on {reader.name} {train}.", flush=True)
        read = examples(reader, train, data_dir, limit=limit)
        tokenizer.train(text for example in read for text in texts_of(example))
        with new_folder(vocabulary / "tokenizer") as part:
            tokenizer.save(part)
            (part / "tokenizer.json").replace(vocabulary / "tokenizer.json")
    if getattr(reader, "pairs", False) and len(between := around(tokenizer, True).between) > 1:
        kept["between"] = between
    expression = find_split(splits, split)
    origin = {**kept, "train": train, "split": expression}
    path = tokenized.folder(data_dir, tokenized.fingerprint(**origin))
    found = tokenized.load(path)
    if found is None:
        print(f"Tokenising {reader.name} {expression} into {path}.", flush=True)
        limit.cut = 0
        several = functools.partial(_zeros_and_ones, len(reader.label_names))
        found = tokenized.write(
            path,
            examples(reader, expression, data_dir, limit=limit),
            tokenizer,
            origin,
            f"{reader.name} {expression}",
            label_dtype={"class": np.int32, "labels": np.uint8, "number": np.float32}[target],
            **({"as_label": several} if target == "labels" else {}),
        )
        if limit.cut:
            print(
                f"NOTE: {limit.cut:,} texts of {reader.name} {expression} are so long that only "
                f"{limit} were tokenised; max_length {max_length} keeps less than that.",
                flush=True,
            )
    return tokenizer, found


def load_cached(tokenizer, folder: Path) -> bool:
    """Loads a tokenizer from the cache, where it is there and whole."""
    if not (folder / "tokenizer.json").is_file():
        return False
    try:
        tokenizer.load(folder)
    except UserError as error:
        print(f"The cached tokenizer is made anew: {error}", flush=True)
        return False
    return True


def examples(
    reader,
    expression: str,
    data_dir,
    chosen: np.ndarray | None = None,
    limit: Limit | None = None,
) -> Iterator[dict]:
    """The examples of a slice of the data, or those at the positions `chosen` in it.

    Args:
        limit: leaves out what is too long; counts.
    """
    name, indices = splitting.split_name(expression), positions(reader, expression, data_dir)
    indices = indices if chosen is None else indices[chosen]
    if limit is None:
        return reader.examples(name, indices)
    partly = {"limit": limit} if getattr(reader, "reads_partly", False) else {}
    return _counted(map(limit.example, reader.examples(name, indices, **partly)), len(indices))


def positions(reader, expression: str, data_dir) -> np.ndarray:
    """Where the examples of a slice are, int64 [count]; of a hash part, all texts are read once."""
    name = splitting.split_name(expression)
    hashes = functools.partial(split_hashes, reader, name, data_dir)
    return splitting.parse(expression, reader.splits, hashes)[1]


def _counted(examples: Iterator[dict], total: int) -> Iterator[dict]:
    """The same examples; shows how many of all have been read."""
    with progress("Reading texts", total, "texts", every=20.0) as advance:
        for example in examples:
            yield example
            advance(1)


def _zeros_and_ones(classes, ids):
    """Label ids as 0s and 1s, uint8 [classes]."""
    label = np.zeros(classes, np.uint8)
    label[list(ids)] = 1
    return label


def find_split(splits: Mapping[str, str], name: str) -> str:
    """The slice that a split's name stands for, or the slice itself ("test[:100]").

    A slice is one of the data set's own splits; of one that the config itself cut, it is an error.
    """
    own, bracket, _ = name.partition("[")
    if bracket and splits.get(own, own).partition("[")[0] != own:
        raise UserError(
            f"{name!r}: {own!r} is cut from {splits[own]!r} here; name a slice of that."
        )
    if name in splits or "[" in name:
        return splits.get(name, name)
    raise UserError(f"The config has no split {name!r}.{nearest(name, splits)}")
