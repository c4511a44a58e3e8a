"""Turns text into an indexed token file for language models, by several processes.

    python -m bigmodel_jax.tokenize --input=corpus/ --output=corpus_tokens --vocabulary_size=32000
    python -m bigmodel_jax.tokenize --input="web/*.jsonl.zst" --output=web --tokenizer=gpt2/tokenizer.json
    python -m bigmodel_jax.tokenize --dataset=imdb_reviews --output=imdb_tokens --tokenizer=bpe

The input is files, folders or patterns: .jsonl, .csv, .tsv or .parquet with a document a record, any
other file a document of plain text; also .gz and .zst. Files named after splits (train.txt, val.txt)
become a token file each. The same command after a kill keeps what is finished, and the result is the
same, byte for byte, for any number of workers.
"""

import os
import shutil
import time
from pathlib import Path

from absl import flags

from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.runtime import DATA_DIR, run_main

TRAINED = ("bpe", "wordpiece", "unigram")

_INPUT = flags.DEFINE_multi_string("input", [], "A file, a folder or a pattern; may be repeated.")
_DATASET = flags.DEFINE_string("dataset", None, "A prepared data set, in place of --input.")
_OUTPUT = flags.DEFINE_string("output", None, "The folder that becomes the token file.")
_TOKENIZER = flags.DEFINE_string(
    "tokenizer",
    "bpe",
    f"{', '.join(TRAINED)}: trained on the input (bpe gives the text back exactly); characters; or a "
    "tokenizer.json, such as that of another token file.",
)
_SIZE = flags.DEFINE_integer("vocabulary_size", 16_000, "Of a tokenizer that is trained.", 1)
_COLUMN = flags.DEFINE_string("text_column", "text", "The column, key or feature of the text.")
_WORKERS = flags.DEFINE_integer("workers", None, "Processes; by default one for each core.", 1)


def main() -> None:
    """Trains or reads the tokenizer, and tokenises every split that the input has."""
    if bool(_INPUT.value) == bool(_DATASET.value):
        raise UserError("Which text? Either --input=FILE_OR_FOLDER or --dataset=NAME.")
    if _OUTPUT.value is None:
        raise UserError("--output=FOLDER says where the token file goes, and is missing.")
    from bigmodel_jax.data import prepared, token_files, tokenizing
    from bigmodel_jax.data.corpora import Files, Readings

    output, workers = Path(_OUTPUT.value).expanduser(), _WORKERS.value or os.cpu_count() or 1
    if _DATASET.value:
        reader = {"name": "tfds", "dataset": _DATASET.value, "label_key": None}
        reader["text_key"] = _COLUMN.value
        corpus = Readings(reader, DATA_DIR.value or prepared.default_data_dir())
    else:
        corpus = Files(_INPUT.value, _COLUMN.value)
    folders = {"train": output}
    if len(corpus.splits) > 1:
        folders = {split: output / split for split in corpus.splits}
    if all(token_files.exists(folder) for folder in folders.values()):
        print(f"{output} is already a token file; to make it anew, remove it.")
        return
    if output.is_dir() and any(output.iterdir()) and output in folders.values():
        raise UserError(f"--output {output} is not empty: choose another folder.")
    work = output.parent / f".{output.name}.tokenizer"
    tokenizer = _tokenizer(_TOKENIZER.value, corpus, work)
    for split, folder in folders.items():
        begun = time.monotonic()
        tokenizing.tokenize(corpus, split, tokenizer, folder, workers)
        _report(token_files.open_file(folder), time.monotonic() - begun, workers)
    shutil.rmtree(work, ignore_errors=True)


def _tokenizer(name: str, corpus, work: Path):
    """The tokenizer of a file, or one trained on the corpus, which `work` keeps until the end."""
    from bigmodel_jax.data import corpora, token_files, tokenizing

    if name in TRAINED:
        spec: dict = {"name": "raw", "kind": name, "vocabulary_size": _SIZE.value}
    elif name == "characters":
        spec = {"name": "characters"}
    elif Path(name).expanduser().is_file():
        tokenizer = token_files.load_tokenizer(Path(name).expanduser())
        if tokenizer.separator is None:
            print(f"NOTE: {name} has no token that ends a document: it will just end.", flush=True)
        return tokenizer
    else:
        known = (*TRAINED, "characters")
        raise UserError(f"--tokenizer={name} is no file and no kind.{nearest(name, known)}")
    begun = time.monotonic()
    folder = work / corpora.fingerprint(corpus, tokenizer=spec)
    tokenizer = tokenizing.trained(spec, folder, tokenizing.training_texts(corpus, "train"))
    seconds = time.monotonic() - begun
    print(f"A tokenizer of {tokenizer.vocabulary_size:,} ids, in {seconds:.0f} s.", flush=True)
    return tokenizer


def _report(file, seconds: float, workers: int) -> None:
    meta = file.meta
    rate = meta["bytes"] / 1e6 / max(seconds, 1e-3)
    empty = f", {meta['empty']:,} of them empty" if meta["empty"] else ""
    print(
        f"{file.folder}: {meta['documents']:,} documents{empty}, {meta['tokens']:,} tokens, "
        f"{meta['bytes'] / meta['tokens']:.2f} bytes a token, {meta['bytes'] / 1e6:,.1f} MB in "
        f"{seconds:.0f} s: {rate:.1f} MB/s by {workers} workers.",
        flush=True,
    )


if __name__ == "__main__":
    run_main(main)
