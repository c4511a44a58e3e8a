"""Reads images of a prepared tfds data set by name, at random, as the bytes that they were stored as."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bigmodel_jax.data import prepared
from bigmodel_jax.data.readers import mixed
from bigmodel_jax.data.readers.tfds import CHUNK, open_prepared
from bigmodel_jax.errors import UserError, nearest


class Reader:
    """A data set prepared by `python -m bigmodel_jax.prepare`, or by tfds as array_record.

    Args:
        dataset: "mnist", or with a configuration, "imagenette/320px-v2".
        image_key: the feature that holds the image.
        label_key: the feature that holds the label, a ClassLabel.

    Raises:
        Unavailable: not prepared in `data_dir`.
        UserError: no such features.
    """

    synthetic = False

    def __init__(
        self,
        dataset: str,
        image_key: str = "image",
        label_key: str = "label",
        data_dir: str | None = None,
    ):
        import tensorflow_datasets as tfds

        self.name = dataset
        self._folder, builder = open_prepared(dataset, data_dir)
        self._image_key, self._label_key = image_key, label_key
        kinds = {image_key: tfds.features.Image, label_key: tfds.features.ClassLabel}
        for key, kind in kinds.items():
            if key not in builder.info.features:
                known = nearest(key, builder.info.features)
                raise UserError(f"{dataset} has no feature {key!r}.{known}")
            if not isinstance(builder.info.features[key], kind):
                raise UserError(f"The feature {key!r} of {dataset} is no {kind.__name__}.")
        self.label_names = tuple(builder.info.features[label_key].names)
        self.splits = {k: s.num_examples for k, s in builder.info.splits.items()}
        self._in_files_order = builder.info.disable_shuffling
        decoders: Any = {image_key: tfds.decode.SkipDecoding()}
        self._sources = {k: builder.as_data_source(k, decoders=decoders) for k in self.splits}

    def fingerprint(self) -> str:
        """The hash that was taken when the data set was prepared, or that of its files."""
        return prepared.recorded_fingerprint(self._folder)

    def examples(self, split: str, indices: Sequence[int] | None = None) -> Iterator[dict]:
        """Yields {"image": bytes, "label": int}, in a mixed order."""
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        order = self._order(split)
        chosen = order if indices is None else order[np.asarray(indices, np.int64)]
        for start in range(0, len(chosen), CHUNK):
            for record in self._sources[split].__getitems__(chosen[start : start + CHUNK].tolist()):
                yield {"image": record[self._image_key], "label": int(record[self._label_key])}

    def place(self, split: str, i: int) -> str:
        """What to call an image in a message."""
        return f"{self.name}: image {self._order(split)[i]} of {split}"

    def _order(self, split):
        count = self.splits[split]
        return mixed(count) if self._in_files_order else np.arange(count)
