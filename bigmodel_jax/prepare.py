"""Prepares a data set for training: `python -m bigmodel_jax.prepare imdb_reviews --from=ARCHIVE`.

Without --from it is downloaded. An interrupted run leaves nothing that looks finished; the same
command again starts over.
"""

import json
import time

from absl import flags, logging

from bigmodel_jax.data import builders, prepared
from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import DATA_DIR, run_main

_NAMES = ", ".join(builders.names())
_DATASET = flags.DEFINE_string("dataset", None, f"The data set, also as the first word: {_NAMES}.")
_FROM = flags.DEFINE_string("from", None, "Prepare it from this archive or extracted folder.")


def main() -> None:
    """Prepares the data set that the command line names and prints what it holds."""
    dataset = _DATASET.value
    if not dataset:
        raise UserError(f"Which data set? `python -m bigmodel_jax.prepare NAME`, of {_NAMES}.")
    if not flags.FLAGS.debug:
        logging.set_verbosity(logging.WARNING)
    start = time.monotonic()
    data_dir = DATA_DIR.value or prepared.default_data_dir()
    folder, new = prepared.prepare(dataset, data_dir, _FROM.value)
    if not new:
        print(f"{dataset} is already prepared in {folder}; to do it anew, remove that folder.")
        return
    record = json.loads((folder / prepared.RECORD).read_text())
    counts = ", ".join(f"{split} {count:,}" for split, count in record["splits"].items())
    seconds = time.monotonic() - start
    print(f"{dataset} is prepared in {folder}: {counts} examples, in {seconds:.0f} s.")
    print(f"sha256 {record['sha256']}")


if __name__ == "__main__":
    run_main(main, words=("dataset",))
