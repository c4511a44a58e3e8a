"""Tokenizers as the `tokenizers` package writes them, in a file `tokenizer.json`."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders

from bigmodel_jax.errors import UserError

_BLANK = re.compile(r"\s")


def parse(content: bytes, name: str) -> Tokenizer:
    """The tokenizer of a file's content, without the padding and truncation that it may ask for.

    Raises:
        UserError: it holds no tokenizer; `name` is that of the file.
    """
    try:
        tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the package raises nothing more special
        raise UserError(
            f"{name} is not a tokenizer.json as the package tokenizers writes it: {error}."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def read(path: Path) -> bytes:
    """The content of the file that a config's tokenizer.path names."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"config.data.tokenizer.path: {path} cannot be read: {error.strerror}."
        ) from error


def encode_clean(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of texts, without the special tokens that a model may want around them."""
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def encode_offsets(
    tokenizer: Tokenizer, texts: Sequence[str]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ids int32 [length], which characters of the text each is of int32 [length, 2]) of texts.

    White space at the ends of a piece is not counted; bytes of one character are all of it.
    """
    found = []
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    for text, encoding in zip(texts, encodings, strict=True):
        offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
        blank = np.zeros(len(text), bool)
        blank[[match.start() for match in _BLANK.finditer(text)]] = True
        if blank.any():
            # Where the next character stands that is none, and behind which the last one stood.
            place = np.arange(len(text))
            after = np.where(blank, len(text), place)[::-1]
            after = np.append(np.minimum.accumulate(after)[::-1], len(text))
            before = np.append(0, np.maximum.accumulate(np.where(blank, 0, place + 1)))
            start, stop = after[offsets[:, 0]], before[offsets[:, 1]]
            offsets = np.stack([np.minimum(start, offsets[:, 1]), stop], 1).astype(np.int32)
            offsets[:, 1] = np.maximum(offsets[:, 1], offsets[:, 0])
        found.append((np.array(encoding.ids, np.int32), offsets))
    return found


def around_pair(tokenizer: Tokenizer, separator: int | None) -> tuple[list[int], ...]:
    """The ids (before, between, after) the two texts of a pair, as the file's own template has them.

    Without a template, or with one that has nothing before the first text: a separator in each place;
    all empty where there is none.
    """
    encoding = tokenizer.encode("a", "a")
    owners = encoding.sequence_ids
    if 0 in owners and 1 in owners and owners[0] is None:
        first, second = owners.index(0), owners.index(1)
        last = len(owners) - owners[::-1].index(1)
        between = [i for i, of in zip(encoding.ids[:second], owners, strict=False) if of is None]
        return encoding.ids[:first], between[first:], encoding.ids[last:]
    return tuple([] if separator is None else [separator] for _ in range(3))


def piece(tokenizer: Tokenizer, token: int) -> str:
    """What an id stands for, with the mark of its kind: "Ġfilm", "##ing", "▁film".

    Pieces of bytes are shown as text; bytes that are no whole character as "\ufffd".
    """
    name = tokenizer.id_to_token(token)
    if name is None:
        return f"<{token}>"
    if "ByteLevel" not in f"{tokenizer.pre_tokenizer} {tokenizer.decoder}":
        return name
    text = decoders.ByteLevel().decode([name])
    return f"Ġ{text[1:]}" if text.startswith(" ") else text
