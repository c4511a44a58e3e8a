"""Reads a prepared tfds data set by name, at random, without TensorFlow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax.data import builders, prepared
from bigmodel_jax.data.readers import Unavailable, mixed
from bigmodel_jax.errors import UserError, nearest

CHUNK = 512  # examples a read: twice as fast as one at a time


class Reader:
    """A data set prepared by `python -m bigmodel_jax.prepare`, or by tfds as array_record.

    Args:
        dataset: "imdb_reviews", or with a configuration, "glue/sst2".
        text_key: the feature that holds the text.
        label_key: the feature that holds the label, a ClassLabel; None for texts alone.
        pair_key: the feature that holds a second text, where examples are pairs.

    Raises:
        Unavailable: not prepared in `data_dir`.
        UserError: no such features.
    """

    synthetic = False

    def __init__(
        self,
        dataset: str,
        text_key: str = "text",
        label_key: str | None = "label",
        pair_key: str | None = None,
        data_dir: str | None = None,
    ):
        import tensorflow_datasets as tfds

        self.name = dataset
        self._folder, self._builder = open_prepared(dataset, data_dir)
        self._text_key, self._label_key, self._pair_key = text_key, label_key, pair_key
        self.pairs = pair_key is not None
        features = self._builder.info.features
        for key in (text_key, label_key, pair_key):
            if key is not None and key not in features:
                raise UserError(f"{dataset} has no feature {key!r}.{nearest(key, features)}")
        self.label_names: tuple[str, ...] = ()
        if label_key is not None:
            if not isinstance(features[label_key], tfds.features.ClassLabel):
                raise UserError(f"The feature {label_key!r} of {dataset} is not a class label.")
            self.label_names = tuple(features[label_key].names)
        self.splits = {k: s.num_examples for k, s in self._builder.info.splits.items()}

    def fingerprint(self) -> str:
        """The hash that was taken when the data set was prepared, or that of its files."""
        return prepared.recorded_fingerprint(self._folder)

    def examples(self, split: str, indices: Sequence[int] | None = None) -> Iterator[dict]:
        """Yields {"text": str, "label": int, "pair": str}; tfds mixed the order when it prepared the set.

        Without a label_key there is no "label", without a pair_key no "pair".
        """
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        for record in self._records(split, indices):
            label = {} if self._label_key is None else {"label": int(record[self._label_key])}
            pair = {} if self._pair_key is None else {"pair": _text(record[self._pair_key])}
            yield {"text": _text(record[self._text_key]), **label, **pair}

    def field(self, split: str, indices: np.ndarray, name: str) -> list:
        """The values of a feature; of a ClassLabel, and of a text, strings."""
        import tensorflow_datasets as tfds

        features = self._builder.info.features
        if name not in features:
            raise UserError(f"{self.name} has no feature {name!r}.{nearest(name, features)}")
        found = [_text(record[name]) for record in self._records(split, indices)]
        if isinstance(features[name], tfds.features.ClassLabel):
            return [features[name].int2str(value) for value in found]
        return found

    def _records(self, split: str, indices: Any) -> Iterator[dict]:
        count = self.splits[split]
        order = mixed(count) if self._builder.info.disable_shuffling else np.arange(count)
        chosen = order if indices is None else order[np.asarray(indices, np.int64)]
        source = self._builder.as_data_source(split)
        for start in range(0, len(chosen), CHUNK):
            yield from source.__getitems__(chosen[start : start + CHUNK].tolist())


def open_prepared(dataset: str, data_dir: str | None) -> tuple[Path, Any]:
    """(the folder of a prepared data set, tfds's builder of it).

    Raises:
        Unavailable: it is not prepared.
    """
    data_dir = data_dir or prepared.default_data_dir()
    folder = prepared.find(dataset, data_dir)
    if folder is None:
        raise Unavailable(_not_prepared(dataset, data_dir))
    import tensorflow_datasets as tfds

    return folder, tfds.builder_from_directory(folder)


def _text(value: Any) -> Any:
    """What is text, as a string."""
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _not_prepared(dataset: str, data_dir: str) -> str:
    """Why, and the way out where there is one of our own."""
    if dataset in builders.names():
        return f"{dataset} is not prepared in {data_dir}. {prepared.ways(dataset, data_dir)}"
    if any((Path(data_dir).expanduser() / dataset).glob("**/dataset_info.json")):
        return (
            f"{dataset} in {data_dir} is not in array_record, the format that is read without "
            "TensorFlow: prepare it with file_format='array_record'."
        )
    return (
        f"{dataset} is not prepared in {data_dir}.{nearest(dataset, builders.names())} Those can "
        "be prepared with `python -m bigmodel_jax.prepare NAME`; any other is read if tfds "
        "prepared it there with file_format='array_record'."
    )
