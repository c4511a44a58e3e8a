"""Tokenizers as the `tokenizers` package writes them, in a file `tokenizer.json`."""

import json
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


def template(tokenizer: Tokenizer) -> tuple[tuple[int, ...], ...] | None:
    """The ids (before, between, after) that the file's own template sets around texts.

    Around one text, and around a pair, stand the first and the last; None where there is no template.
    """
    one, pair = tokenizer.encode("a"), tokenizer.encode("a", "a")
    if 0 not in one.sequence_ids or 1 not in pair.sequence_ids:
        return None
    first, stop = _span(one.sequence_ids, 0)
    before, after = tuple(one.ids[:first]), tuple(one.ids[stop:])
    between = tuple(pair.ids[_span(pair.sequence_ids, 0)[1] : _span(pair.sequence_ids, 1)[0]])
    return (before, between, after) if before or between or after else None


def _span(owners, text):
    """Where the tokens of a text begin and stop among those of a template."""
    return owners.index(text), len(owners) - owners[::-1].index(text)


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


def ends(assets: Path) -> list[int]:
    """The ids after which a published model stops, by its own files: a chat model's end of a turn.

    generation_config.json says so, and config.json where there is none (as in `transformers`).

    Args:
        assets: of a run; without the files of a published model there are none.
    """
    for name in ("generation_config.json", "config.json"):
        file = assets / "published" / name
        if file.is_file():
            found = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
            return [] if found is None else [found] if isinstance(found, int) else list(found)
    return []
