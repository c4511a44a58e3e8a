"""Times preparing texts for training against plain `tokenizers` on the same texts, in turns.

    python benchmarks/tokenize_texts.py FOLDER        # reads every FOLDER/**/*.txt; some minutes

Ours is all that a run does between a text in memory and its arrays on the disk: cleaning (HTML,
Unicode), tokenising, writing and hashing; with nothing remembered from the turn before. Theirs is
`encode_batch` alone, of the very same tokenizer on texts that are clean already, so that the ids are
equal, which is checked; of words, a WordLevel model of theirs on the same vocabulary. MB are those of
the texts as they are in the files; a ratio is our speed over theirs. Training a vocabulary is timed
once.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from bigmodel_jax import config
from bigmodel_jax.data import tokenized
from bigmodel_jax.data.cleaning import clean

VOCABULARY = 16_000
SPECS: dict[str, dict[str, Any]] = {
    "words": {"name": "words", "vocabulary_size": VOCABULARY},
    **{
        kind: {"name": "subword", "kind": kind, "vocabulary_size": VOCABULARY}
        for kind in ("bpe", "wordpiece", "unigram")
    },
}


def timed(action: Callable) -> tuple[float, Any]:
    """(seconds, result) of an action."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def peer(kind: str, folder: Path, ours: Any) -> tokenizers.Tokenizer:
    """The same tokenizer as plain `tokenizers` has it."""
    if kind != "words":
        return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = ours.tokens(range(ours.vocabulary_size))
    vocabulary = {name: i for i, name in enumerate(names)}
    theirs = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=names[1]))
    theirs.normalizer = tokenizers.normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    return theirs


def measure(kind: str, texts: list[str], rounds: int) -> dict[str, float]:
    """MB/s of both, the ratio, and seconds of training."""
    spec, cleaned = SPECS[kind], [clean(text) for text in texts]
    examples = [{"text": text, "label": 0} for text in texts]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    ours = config.build("data.tokenizers", spec)
    train, _ = timed(lambda: ours.train(iter(texts)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours.save(folder)
        theirs = peer(kind, folder, ours)
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(rounds):
            fresh = config.build("data.tokenizers", spec)
            fresh.load(folder)
            path = folder / str(turn)
            took, found = timed(partial(tokenized.write, path, examples, fresh, {}, kind))
            seconds["ours"].append(took)
            took, plain = timed(lambda: theirs.encode_batch(cleaned, add_special_tokens=False))
            seconds["theirs"].append(took)
        if kind != "words":
            ids = np.concatenate([x.ids for x in plain])
            if not np.array_equal(ids, found.tokens):
                sys.exit(f"The ids of {kind} are not those of plain tokenizers.")
    speed = {name: megabytes / statistics.median(times) for name, times in seconds.items()}
    return {**speed, "ratio": speed["ours"] / speed["theirs"], "train": train}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of .txt files, a text each")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--texts", type=int, default=25_000, help="how many are read at most")
    flags = parser.parse_args()
    paths = sorted(flags.folder.rglob("*.txt"))
    texts = [path.read_text("utf-8") for path in paths[:: -(-len(paths) // flags.texts) or 1]]
    if not texts:
        sys.exit(f"There is no .txt file in {flags.folder}.")
    print(f"{len(texts):,} texts of {sum(map(len, texts)) / 1e6:.1f} million characters")
    print(f"{'tokenizer':12}{'ours MB/s':>11}{'theirs MB/s':>13}{'ratio':>8}{'training s':>12}")
    for kind in SPECS:
        row = measure(kind, texts, flags.rounds)
        print(
            f"{kind:12}{row['ours']:11.1f}{row['theirs']:13.1f}{row['ratio']:8.2f}"
            f"{row['train']:12.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
