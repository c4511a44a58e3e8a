"""A corpus becomes a token file, by several processes; what is finished survives a kill.

FOLDER.unfinished/plan.json     what it is made of: of anything else, the rest is thrown away
                  shard-N.npz   one for each shard of the corpus, when it is whole

The shards do not depend on the number of processes, and so neither does a byte of the token file.
"""

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import token_files
from bigmodel_jax.data.corpora import Corpus
from bigmodel_jax.data.corpus import load_cached
from bigmodel_jax.data.plain_text import Piece
from bigmodel_jax.data.progress import progress
from bigmodel_jax.data.token_files import Encoded
from bigmodel_jax.data.unfinished import alone, new_file, new_folder
from bigmodel_jax.errors import UserError

VERSION = 1  # raise it when the same corpus and tokenizer make other shards
AT_ONCE = 1 << 20  # characters that are encoded together
TRAINED_ON = 1 << 30  # bytes of a corpus that train a tokenizer: some of the shards of a larger one


def build(spec: Mapping) -> Any:
    """The tokenizer of a spec, untrained; one that gives the text back.

    Raises:
        UserError: one that does not, or any other mistake in `spec`.
    """
    tokenizer = config.build("data.tokenizers", spec)
    if not hasattr(tokenizer, "decode"):
        raise UserError(
            f"config.data.tokenizer {spec['name']!r} cleans text, which language models are to write: "
            'take dict(name="raw") or dict(name="characters").'
        )
    return tokenizer


def trained(spec: Mapping, folder: Path, texts: Iterable[str]) -> Any:
    """The tokenizer of `spec` that `folder` holds; trained on `texts` and saved there if need be."""
    tokenizer = build(spec)
    if not load_cached(tokenizer, folder):
        tokenizer.train(texts)
        with new_folder(folder / "tokenizer") as part:
            tokenizer.save(part)
            (part / token_files.TOKENIZER).replace(folder / token_files.TOKENIZER)
    return tokenizer


def training_texts(corpus: Corpus, split: str) -> Iterator[str]:
    """The texts of a split, of a very large one those of shards from all over it."""
    shards = corpus.shards(split)
    every = max(1, -(-corpus.size(split) // TRAINED_ON))
    with progress(f"Reading {corpus.name} for the tokenizer", len(shards), "shards") as advance:
        for shard in shards[::every]:
            for piece in corpus.read(split, shard):
                yield piece.text
            advance(every)


def tokenize(corpus: Corpus, split: str, tokenizer, folder: Path, workers: int = 1) -> None:
    """Makes the token file `folder` of a split, unless it is there.

    Two processes at once: the second waits for the first.

    Raises:
        UserError: what is wrong in the corpus, with its place.
    """
    if token_files.exists(folder):
        return
    work = folder.with_name(f"{folder.name}.unfinished")
    work.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with alone(lock, f"{folder}"):
        if token_files.exists(folder):
            return
        sources = _begin(work, corpus, split, tokenizer)
        shards = corpus.shards(split)
        left = [i for i in range(len(shards)) if not _shard(work, i).is_file()]
        title = f"Tokenising {corpus.name} {split}"
        with progress(title, len(shards), "shards") as advance:
            advance(len(shards) - len(left))
            jobs = [(i, shards[i]) for i in left]
            for _ in _all(jobs, (corpus, split, work, tokenizer), workers):
                advance(1)
        parts = (_load(_shard(work, i)) for i in range(len(shards)))
        token_files.write(folder, parts, tokenizer, sources)
        shutil.rmtree(work)
    lock.unlink(missing_ok=True)


def _begin(work: Path, corpus: Corpus, split: str, tokenizer) -> list[dict]:
    """The sources, hashed; an unfinished folder of anything else is emptied."""
    work.mkdir(exist_ok=True)
    sources, plan = corpus.sources(split), work / "plan.json"
    tokenizer.save(work)
    asked = {
        "version": VERSION,
        "corpus": corpus.identity(),
        "split": split,
        "tokenizer": token_files.file_sha256(work / token_files.TOKENIZER),
    }
    try:
        found = json.loads(plan.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if found.get("asked") == json.loads(json.dumps(asked)):
        return found["sources"]
    for path in work.iterdir():
        if path.name != token_files.TOKENIZER:
            path.unlink()
    for source in sources:
        if "path" in source:
            source["sha256"] = token_files.file_sha256(Path(source["path"]))
    with new_file(plan) as file:
        file.write(json.dumps({"asked": asked, "sources": sources}).encode())
    return sources


def _all(jobs, given, workers: int) -> Iterator[None]:
    """Does all jobs, here or in processes of their own."""
    if workers < 2 or len(jobs) < 2:
        corpus, split, work, tokenizer = given
        for number, shard in jobs:
            _save(_shard(work, number), encode(corpus.read(split, shard), tokenizer))
            yield
        return
    # Not forked: the threads of jax and of tokenizers would be copied in whatever state they are.
    context = multiprocessing.get_context("spawn")
    given = given[:-1]
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _start, given) as pool:
        futures = [pool.submit(_do, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        except BrokenProcessPool as error:
            raise UserError(
                "A process that tokenised was killed, perhaps for want of memory: the same command "
                "goes on with what is finished; fewer --workers take less."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_given: Any = None  # of this process: corpus, split, folder, tokenizer


def _start(corpus: Corpus, split: str, work: Path) -> None:
    global _given
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes share the cores already
    _given = corpus, split, work, token_files.load_tokenizer(work / token_files.TOKENIZER)


def _do(number: int, shard) -> None:
    corpus, split, work, tokenizer = _given
    _save(_shard(work, number), encode(corpus.read(split, shard), tokenizer))


def encode(pieces: Iterable[Piece], tokenizer) -> Encoded:
    """The documents of a shard as ids, each with the separator at its end.

    Raises:
        UserError: an id beyond the vocabulary; what the tokenizer cannot encode, with its place.
    """
    dtype = token_files.dtype_of(tokenizer.vocabulary_size)
    end = np.array([] if tokenizer.separator is None else [tokenizer.separator], dtype)
    tokens: list[np.ndarray] = []
    lengths: list[int] = []
    sizes: list[int] = []
    empty, going_on = 0, False
    for batch in _batches(pieces):
        widths = [_utf8_bytes(piece) for piece in batch]
        for piece, width, ids in zip(batch, widths, _ids(batch, tokenizer), strict=True):
            token_files.check_range(ids, tokenizer.vocabulary_size, piece.place)
            if not going_on:
                lengths.append(0)
                sizes.append(0)
            whole = piece.begins and piece.ends
            if whole and not piece.text.strip():
                empty += 1
                continue
            tokens.append(ids.astype(dtype))
            if piece.ends:
                tokens.append(end)
            lengths[-1] += len(ids) + (len(end) if piece.ends else 0)
            sizes[-1] += width
            going_on = not piece.ends
    flat = np.concatenate(tokens) if tokens else np.zeros(0, dtype)
    return Encoded(flat, np.array(lengths, np.int64), np.array(sizes, np.int64), empty, going_on)


def _utf8_bytes(piece: Piece) -> int:
    try:
        return len(piece.text.encode("utf-8"))
    except UnicodeEncodeError as error:  # JSON can write them
        raise UserError(
            f"{piece.place} holds half of a character, {piece.text[error.start]!r}, which no UTF-8 "
            "text has: take it out."
        ) from error


def _ids(batch: list[Piece], tokenizer) -> list[np.ndarray]:
    if hasattr(tokenizer, "encode_batch"):
        return tokenizer.encode_batch([piece.text for piece in batch])
    found = []
    for piece in batch:
        try:
            found.append(tokenizer.encode(piece.text))
        except UserError as error:
            raise UserError(f"{piece.place}: {error}") from error
    return found


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    batch, size = [], 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece.text)
        if size >= AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _shard(work: Path, number: int) -> Path:
    return work / f"shard-{number:05d}.npz"


def _save(path: Path, encoded: Encoded) -> None:
    with new_file(path) as file:
        np.savez(file, **encoded._asdict())


def _load(path: Path) -> Encoded:
    with np.load(path) as saved:
        arrays = {name: saved[name] for name in Encoded._fields}
    counts = {"empty": int(arrays["empty"]), "open": bool(arrays["open"])}
    return Encoded(**{**arrays, **counts})
