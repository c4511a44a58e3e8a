"""Applies a trained model to texts or images, and explains what it answers.

Of labelled texts it gives the probabilities, of a tagger's the entities, of a masked language model's
the tokens that may stand for each mask, of a language model's how surprising each text is (`generate`
writes on from a text), of a question and a text the answer, of several choices how probable each is, of
an encoder-decoder its answer, such as a translation. To a user of a run on ratings it recommends items.

    python -m bigmodel_jax.predict --workdir=runs/imdb --text="A fine film." --text="Dreadful."
    python -m bigmodel_jax.predict --workdir=runs/imdb --text="A fine film." --explain
    python -m bigmodel_jax.predict --workdir=runs/imdb --file=reviews.csv --text_column=review
    python -m bigmodel_jax.predict --workdir=runs/tags --text="U.N. official Ekeus heads for Baghdad"
    python -m bigmodel_jax.predict --workdir=runs/imdb_mlm --text="This film is [MASK]."
    python -m bigmodel_jax.predict --workdir=runs/gpt_shakespeare --file=sonnets.txt
    python -m bigmodel_jax.predict --workdir=runs/squad --text="Who wrote it?" --pair_text="..."
    python -m bigmodel_jax.predict --workdir=runs/multi30k-en-de --file=english.txt
    python -m bigmodel_jax.predict --workdir=runs/folder --image=cat.jpg --image=FOLDER
    python -m bigmodel_jax.predict --workdir=runs/folder --image=cat.jpg --explain_html=why.html
    python -m bigmodel_jax.predict --workdir=runs/movielens-svdpp-fold=1 --user=42
    cat reviews.txt | python -m bigmodel_jax.predict --workdir=runs/imdb --format=jsonl > labels.jsonl

Without --text, --image, --user and --file it reads standard input, a text, the path of an image or a
user a line. One row of output for each text, in order, as soon as its batch is done; all else that is
said goes to standard error.
"""

import contextlib
import io
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from absl import flags

from bigmodel_jax.applied import Explaining, Text
from bigmodel_jax.data import records
from bigmodel_jax.data.compressed import extension, open_plain
from bigmodel_jax.data.image_sets.folders import EXTENSIONS as IMAGES
from bigmodel_jax.data.lines import Lines
from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import DATA_DIR, run_main

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run to apply.")
    flags.DEFINE_multi_string("text", [], "A text; may be given several times.")
    flags.DEFINE_multi_string("pair_text", [], "Of a run on pairs: the second text of each --text.")
    flags.DEFINE_string(
        "file",
        None,
        "A file: .csv, .tsv, .jsonl or .parquet, else a text a line; all but .parquet may be "
        "compressed: .gz, .zst.",
    )
    flags.DEFINE_multi_string(
        "image", [], "Of a run on images: a file, or a folder of them; may be given several times."
    )
    flags.DEFINE_multi_string(
        "user", [], "Of a run on ratings: whom to recommend to; may be given several times."
    )
    flags.DEFINE_string("text_column", "text", "Of a .csv, .tsv, .jsonl or .parquet file.")
    flags.DEFINE_string("pair_column", None, "The same, of the second text of a pair.")
    flags.DEFINE_enum("format", "table", ["table", "jsonl"], "Of the output.")
    flags.DEFINE_integer("batch_size", 64, "Texts computed at once.", lower_bound=1)
    flags.DEFINE_bool("explain", False, "Show what each token, or pixel, adds to the answer.")
    flags.DEFINE_string(
        "explain_class", None, "The label to explain; by default the predicted one."
    )
    flags.DEFINE_string("explain_html", None, "Write the explanations to this HTML file too.")
    flags.DEFINE_bool(
        "occlusion", False, "Explain also by taking each token, or patch of an image, away."
    )
    flags.DEFINE_integer(
        "neighbours", 0, "Explain also by so many of the nearest training examples.", lower_bound=0
    )


def main() -> None:
    """Reads texts from where the command line says, prints a row for each."""
    options = flags.FLAGS
    if not options.workdir:
        raise UserError("--workdir=DIR says which run to apply, and is missing.")
    if sum(map(bool, (options.text, options.file, options.image, options.user))) > 1:
        raise UserError(
            "--text, --file, --image and --user all name what to answer: give one of them."
        )
    if options.pair_text and len(options.pair_text) != len(options.text):
        raise UserError(
            f"There are {len(options.text)} --text and {len(options.pair_text)} --pair_text: "
            "give one for each."
        )
    if options.pair_column and not options.file:
        raise UserError("--pair_column is of a --file, and there is none: leave it out.")
    batch_size, tabs = options.batch_size, False
    if options.pair_text:
        texts = zip(options.text, options.pair_text, strict=True)
    elif options.text:
        texts = iter(options.text)
    elif options.image:
        texts = images(options.image)
    elif options.user:
        texts = iter(options.user)
    elif options.file:
        path = Path(options.file).expanduser()
        texts = read(path, options.text_column, options.pair_column)
        tabs = extension(path) not in TABLES
    else:
        texts, tabs = (line.rstrip("\r\n") for line in _stdin()), True
        if sys.stdin.isatty():
            batch_size = 1  # whoever types wants an answer to each line
            print("Type a text and press Enter; Ctrl-D ends.", file=sys.stderr)
    explaining = None
    also = options.occlusion, options.neighbours, DATA_DIR.value
    if options.explain or options.explain_class or options.explain_html or any(also[:2]):
        explaining = Explaining(options.explain_class, options.explain_html, *also)
    reads = "texts" if options.text or options.file else None
    reads = "images" if options.image else "users" if options.user else reads
    if not predict(options.workdir, texts, batch_size, options.format, explaining, tabs, reads):
        raise UserError(f"There are no texts in {options.file or 'standard input'}.")


def predict(
    workdir: str,
    texts: Iterable[Text],
    batch_size: int,
    form: str,
    explaining: Explaining | None = None,
    tabs: bool = False,
    reads: str | None = None,
) -> int:
    """Prints what the run says of `texts`, batch by batch; how many there were.

    Args:
        tabs: for a run on pairs, a text is cut into two at its first tab.
        reads: "texts", "images", whose paths they are, or "users"; None for whatever the run reads.

    Raises:
        UserError: the run reads the other; or any of applied.load_answers.
    """
    from bigmodel_jax.applied.base import load_answers

    count = 0
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(load_answers(workdir))
        if reads not in (None, run.reads):
            ways = {"texts": "--text or --file", "images": "--image", "users": "--user"}
            way = ways[run.reads]
            raise UserError(f"{workdir} is a run on {run.reads}: name them with {way}.")
        reader = (run.config["data"].get("reader") or {}).get("name", "")
        if reader.startswith("synthetic_"):
            print(f"NOTE: this run was trained on {reader}, not on real data.", file=sys.stderr)
        show = stack.enter_context(run.shown(form, explaining))
        for batch in batches(run.texts(texts, tabs), batch_size):
            rows = batch_size if count else 0  # a lone batch need not be padded
            show(run.answers(batch, rows))
            count += len(batch)
    return count


def read(path: Path, text_column: str = "text", pair_column: str | None = None) -> Iterator[Text]:
    """The texts of a file, one after another, or pairs; labels, if there are any, are not looked at.

    Raises:
        UserError: it is not there, not UTF-8, or has no such column, or no columns at all; names the
            file and the line.
    """
    if not path.is_file():
        raise UserError(f"--file: there is no file {path}.")
    if extension(path) in TABLES:
        columns = {"--text_column": text_column, "--pair_column": pair_column}
        for place, (text, *pair) in records.read(path, {k: v for k, v in columns.items() if v}):
            if not all(isinstance(value, str) for value in (text, *pair)):
                raise UserError(f"{place}: the text is a string, not {text!r:.40}.")
            yield (text, pair[0]) if pair else text
    elif pair_column:
        raise UserError(
            f"{path} has no columns: leave out --pair_column, and put a tab between the two texts "
            "of each line."
        )
    else:
        with open_plain(path) as file:
            yield from (line.rstrip("\r\n") for line in Lines(path, file))


def images(paths: Iterable[str]) -> Iterator[str]:
    """The files among some paths, and the images below the folders, in the order of their names."""
    for path in paths:
        given = Path(path).expanduser()
        if not given.is_dir():
            yield path
            continue
        found = [p for p in sorted(given.rglob("*")) if p.suffix.lower() in IMAGES]
        if not found:
            raise UserError(f"There are no images in {path}, of the kinds {', '.join(IMAGES)}.")
        yield from map(str, found)


def batches(texts: Iterable[Text], size: int) -> Iterator[list[Text]]:
    """Lists of `size` texts, the last of what is left."""
    texts = iter(texts)
    while batch := list(itertools.islice(texts, size)):
        yield batch


def _stdin() -> Iterable[str]:
    return io.TextIOWrapper(sys.stdin.buffer, "utf-8", errors="replace")


if __name__ == "__main__":
    define_flags()
    run_main(main)
