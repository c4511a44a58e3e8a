"""Texts from anywhere become a batch as a run prepared its own, by what its assets hold."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import tokenized
from bigmodel_jax.data.limit import Limit
from bigmodel_jax.data.rows import Rows, around, check_buckets, cut, host_batch


def encode(texts: Sequence[str | tuple[str, str]], tokenizer, spec: Mapping) -> dict[str, Any]:
    """A batch of texts from anywhere, prepared as `spec` (config.data) prepares its own; label 0.

    Args:
        texts: or pairs of texts; all of one kind.
    """
    pairs = isinstance(texts[0], tuple)
    limit = Limit(spec["max_length"], "head" if pairs else spec.get("keep", "tail"))
    parts = [(text,) if isinstance(text, str) else text for text in texts]
    ids = tokenized.encode(tokenizer, [tuple(map(limit, part)) for part in parts])
    offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
    ends = around(tokenizer, pairs)
    rows = cut(offsets, spec["max_length"], spec.get("keep", "tail"), ends)
    buckets = check_buckets(spec.get("buckets", ()), spec["max_length"])
    length = buckets[int(np.searchsorted(buckets, rows.kept.max() + ends.ends))]
    nothing = np.zeros(len(texts), np.int32)
    valid = np.ones(len(texts), bool)
    return host_batch(np.concatenate(ids), Rows(*rows, nothing, valid, length, ends))


def save_labels(folder: Path, label_names: Sequence[str], target: str = "class") -> None:
    """Writes labels.json: a list of names, or of another target than a class also its kind."""
    content = list(label_names) if target == "class" else {"target": target, "names": label_names}
    text = json.dumps(content, ensure_ascii=False) + "\n"
    (folder / "labels.json").write_text(text, encoding="utf-8")


def load_assets(folder: Path, spec: Mapping) -> tuple[Any, tuple[str, ...]]:
    """(tokenizer, label names) of a run."""
    tokenizer = config.build("data.tokenizers", spec["tokenizer"])
    tokenizer.load(folder)
    return tokenizer, load_labels(folder)


def load_labels(folder: Path) -> tuple[str, ...]:
    """The names that `save_labels` wrote."""
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return tuple(labels if isinstance(labels, list) else labels["names"])
