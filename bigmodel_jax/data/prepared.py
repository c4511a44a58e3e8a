"""Prepared data sets on disk: finding them, and making them so that half of one is never found.

A prepared data set is a folder `DATA_DIR/NAME/[CONFIG/]VERSION` as tfds writes it, in array_record.
Ours hold `bigmodel_jax.json` besides: the number of examples of each split and a hash of the files.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
from pathlib import Path

from bigmodel_jax.data import builders
from bigmodel_jax.data.download import download, probe
from bigmodel_jax.data.progress import progress
from bigmodel_jax.data.unfinished import alone
from bigmodel_jax.errors import UserError, refuse_address

RECORD = "bigmodel_jax.json"


def default_data_dir() -> str:
    """Where data sets are looked for and prepared when no --data_dir says otherwise."""
    given = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    refuse_address("TFDS_DATA_DIR", given)
    return os.path.expanduser(given)


def find(dataset: str, data_dir: str | os.PathLike) -> Path | None:
    """The folder of a prepared data set's highest version, or None.

    Args:
        dataset: "imdb_reviews", or with tfds's name of a configuration, "glue/sst2".
    """
    root = Path(data_dir).expanduser() / dataset
    for pattern in ("*/dataset_info.json", "*/*/dataset_info.json"):
        found = [p.parent for p in root.glob(pattern) if _is_array_record(p)]
        if found:
            return max(found, key=_version)
    return None


def _is_array_record(info: Path) -> bool:
    """Whether a data set can be read without TensorFlow."""
    return json.loads(info.read_text()).get("fileFormat") == "array_record"


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in folder.name.split("."))


def fingerprint(folder: Path) -> str:
    """sha256 over the array_record files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.array_record*")):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def recorded_fingerprint(folder: Path) -> str:
    """The fingerprint written down when the data set was prepared; computed if tfds prepared it."""
    record = folder / RECORD
    return json.loads(record.read_text())["sha256"] if record.exists() else fingerprint(folder)


def ways(dataset: str, data_dir: str | os.PathLike) -> str:
    """What to do to have a data set that can be prepared here, as the end of an error message."""
    builder = builders.load(dataset)
    download = "" if builder.SHA256 is None else " (without --from it is downloaded)"
    return (
        f"To get {dataset}: `python -m bigmodel_jax.prepare {dataset} --from=PATH "
        f"--data_dir={data_dir}`, where PATH is {builder.SOURCES}, published at {builder.URL}"
        f"{download}; or name with --data_dir or TFDS_DATA_DIR the folder where it is already prepared."
    )


def prepare(
    dataset: str, data_dir: str | os.PathLike, source: str | os.PathLike | None = None, **options
) -> tuple[Path, bool]:
    """Prepares a data set from `source`, or from a download if that is None.

    All is made in a temporary folder beside the target and renamed at the end; what an interrupted
    run left behind is removed by the next. Two processes at once: the second waits for the first.

    Args:
        options: for the Builder.

    Returns:
        The folder, and whether this call made it (False: it was there before).
    """
    if source is not None and not Path(source).expanduser().exists():
        raise UserError(f"--from={source} does not exist.")
    builder_class = builders.load(dataset)
    if folder := find(dataset, data_dir):
        return folder, False
    if source is None and builder_class.SHA256 is None:
        raise UserError(
            f"{dataset} is published as several files, which are not downloaded here. "
            f"{ways(dataset, data_dir)}"
        )
    if source is None and (reason := probe(builder_class.URL)):
        raise UserError(f"{dataset} cannot be downloaded ({reason}). {ways(dataset, data_dir)}")
    root = Path(data_dir).expanduser().resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with alone(root / f".{dataset}.lock", f"{dataset} in {root}"):
            if folder := find(dataset, data_dir):
                return folder, False
            temporary = root / f".{dataset}.preparing"
            shutil.rmtree(temporary, ignore_errors=True)
            try:
                temporary.mkdir()
                return _prepare(builder_class, root, temporary, source, options), True
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{dataset} cannot be prepared in {root}: {error}.") from error


def _prepare(builder_class, root: Path, temporary: Path, source, options) -> Path:
    """Downloads if need be, builds below `temporary`, moves the result into `root`."""
    import tensorflow_datasets as tfds

    if source is None:
        source = temporary / builder_class.URL.rsplit("/", 1)[-1]
        download(builder_class.URL, source, builder_class.SIZE, builder_class.SHA256)
    tfds.disable_progress_bar()
    with (
        progress(f"preparing {builder_class.name}", builder_class.EXAMPLES, "examples") as advance,
        contextlib.redirect_stdout(io.StringIO()),  # tfds greets on stdout
    ):
        builder = builder_class(
            data_dir=str(temporary),
            source=Path(source).expanduser(),
            progress=advance,
            **options,
        )
        builder.download_and_prepare()
    made = Path(builder.data_dir)
    record = {
        "dataset": builder.name,
        "version": str(builder.version),
        "splits": {name: split.num_examples for name, split in builder.info.splits.items()},
        "sha256": fingerprint(made),
    }
    (made / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    target = root / made.relative_to(temporary)
    target.parent.mkdir(parents=True, exist_ok=True)
    made.rename(target)
    return target
