"""The base of our tfds builders: array_record files, written the same, bit for bit, every time."""

from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import writer
from tensorflow_datasets.core.file_adapters import FileFormat
from tensorflow_datasets.proto import tf_example_pb2


class ArrayRecordBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder that needs no TensorFlow; the format has to be chosen in the constructor."""

    def __init__(self, **kwargs):
        super().__init__(file_format="array_record", **kwargs)

    def _example_writer(self):
        return _Writer(FileFormat.ARRAY_RECORD)


class _Writer(writer.ExampleWriter):
    """Writes an example's features in the order of their names.

    They are a protobuf map, whose order otherwise differs from process to process, and with it the
    hash by which two preparations are compared.
    """

    def write(self, path, examples):
        return super().write(path, ((key, _sorted(example)) for key, example in examples))


def _sorted(example: bytes) -> bytes:
    message: Any = tf_example_pb2  # its classes are made at run time
    return message.Example.FromString(example).SerializeToString(deterministic=True)
