"""Prepares a data set for training: `python -m bigmodel_jax.prepare imdb_reviews --from=ARCHIVE`.

Without --from it is downloaded. An interrupted run leaves nothing that looks finished; the same
command again starts over.
"""

import json
import time

from absl import app, flags

from bigmodel_jax.data import builders, prepared
from bigmodel_jax.errors import UserError

flags.DEFINE_string("from", None, "The archive or extracted folder to prepare from.")
flags.DEFINE_string("data_dir", None, "Where to [$TFDS_DATA_DIR, else ~/tensorflow_datasets].")


def main(argv: list[str]) -> None:
    """Prepares the data set that the command line names and prints what it holds."""
    if len(argv) != 2:
        raise UserError(
            "Name one data set: `python -m bigmodel_jax.prepare NAME [--from=PATH] "
            f"[--data_dir=DIR]`. There are: {', '.join(builders.names())}."
        )
    values = flags.FLAGS.flag_values_dict()
    data_dir = values["data_dir"] or prepared.default_data_dir()
    start = time.monotonic()
    folder, new = prepared.prepare(argv[1], data_dir, values["from"])
    if not new:
        print(f"{argv[1]} is already prepared in {folder} (remove that folder to do it anew).")
        return
    record = json.loads((folder / prepared.RECORD).read_text())
    counts = ", ".join(f"{split} {count:,}" for split, count in record["splits"].items())
    print(f"{argv[1]} is prepared in {folder}: {counts} examples, {time.monotonic() - start:.0f} s.")
    print(f"sha256 {record['sha256']}")


if __name__ == "__main__":
    app.run(main)
