"""The tokenizer of a published folder that has no tokenizer.json, from the files that were before it.

vocab.txt                                       WordPiece: BERT, DistilBERT
vocab.json, merges.txt                          BPE of bytes: GPT-2, RoBERTa
tokenizer_config.json, special_tokens_map.json,
added_tokens.json                               its settings and special tokens, where there are any

What is made is what transformers makes of the same folder; tests hold it to the ids of that.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from bigmodel_jax.errors import UserError

Names = Mapping[str, str]  # of special tokens, by role
ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")  # in the order in which they get ids


class Kind(NamedTuple):
    """A class of tokenizers.

    Attributes:
        files: of the vocabulary.
        make: (paths of these, settings, names of special tokens) -> the tokenizer.
        around: what stands around one text, and around two, in the package's words; "" is nothing.
        special: names of the special tokens that no file names.
    """

    files: tuple[str, ...]
    make: Callable[[list[str], Mapping, Names], Tokenizer]
    around: tuple[str, str]
    special: Names


def read(folder: Path, model_type: str) -> Tokenizer | None:
    """The tokenizer; None where it is of another kind, or its files are not there.

    Args:
        model_type: of config.json, which says the kind where tokenizer_config.json does not.

    Raises:
        UserError: a file is damaged, or the files contradict each other.
    """
    given = _settings(folder)
    name = str(given.get("tokenizer_class") or USUAL.get(model_type, "")).removesuffix("Fast")
    kind = KINDS.get(name)
    if kind is None or not all((folder / file).is_file() for file in kind.files):
        return None
    if given.get("add_bos_token") or given.get("add_eos_token"):
        return None  # of no published model of these kinds: rather none than another one
    names = {**kind.special, **{role: _content(x) for role, x in _named(given)}}
    paths = [str(folder / file) for file in kind.files]
    try:
        made = kind.make(paths, given, names)
    except Exception as error:  # the package raises nothing more special
        raise UserError(f"{' and '.join(paths)} are no vocabulary: {error}.") from error
    _add_tokens(made, folder, given, names)
    ids = made.get_vocab(with_added_tokens=True)
    one, two = kind.around
    if one:
        made.post_processor = processors.TemplateProcessing(
            single=one.format(**names),
            pair=two.format(**names),
            special_tokens=[(names[role], ids[names[role]]) for role in ("cls", "sep")],
        )
    return made


def _wordpiece(paths: list[str], given: Mapping, names: Names) -> Tokenizer:
    ids = models.WordPiece.read_file(*paths)
    missing = [names[role] for role in ("unk", "cls", "sep") if names[role] not in ids]
    if missing:
        raise ValueError(f"there is no {missing[0]}")
    made = Tokenizer(models.WordPiece(ids, unk_token=names["unk"]))
    made.normalizer = normalizers.BertNormalizer(  # type: ignore[assignment]
        handle_chinese_chars=given.get("tokenize_chinese_chars", True),
        strip_accents=given.get("strip_accents"),
        lowercase=given.get("do_lower_case", True),
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    made.decoder = decoders.WordPiece()  # type: ignore[assignment]
    return made


def _byte_level(paths: list[str], given: Mapping, names: Names) -> Tokenizer:
    del names  # no byte is unknown
    made = Tokenizer(models.BPE(*models.BPE.read_file(*paths)))
    first = bool(given.get("add_prefix_space", False))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=first)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    return made


END = "<|endoftext|>"
_BERT = Kind(
    ("vocab.txt",),
    _wordpiece,
    ("{cls} $A {sep}", "{cls} $A {sep} $B:1 {sep}:1"),
    {role: f"[{role.upper()}]" for role in ("unk", "sep", "pad", "cls", "mask")},
)
_BYTES = ("vocab.json", "merges.txt")
_ROBERTA = Kind(
    _BYTES,
    _byte_level,
    ("{cls} $A {sep}", "{cls} $A {sep} {sep} $B {sep}"),
    {
        **{role: f"<{role}>" for role in ("unk", "pad", "mask")},
        **{"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>"},
    },
)
_GPT2 = Kind(_BYTES, _byte_level, ("", ""), dict.fromkeys(("bos", "eos", "unk"), END))
KINDS = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "RobertaTokenizer": _ROBERTA,
    "GPT2Tokenizer": _GPT2,
}
USUAL = {
    "bert": "BertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "roberta": "RobertaTokenizer",
    "gpt2": "GPT2Tokenizer",
}


def _settings(folder: Path) -> dict[str, Any]:
    return {**_json(folder / "special_tokens_map.json"), **_json(folder / "tokenizer_config.json")}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} is not an object of JSON.")
    return found


def _named(given: Mapping) -> Iterator[tuple[str, Any]]:
    """(role, token) of the special tokens that a file names."""
    for role in ROLES:
        if token := given.get(f"{role}_token"):
            yield role, token


def _content(token: Any) -> str:
    return token["content"] if isinstance(token, Mapping) else str(token)


def _add_tokens(made: Tokenizer, folder: Path, given: Mapping, names: Names) -> None:
    """What is found in a text before it is cut into pieces, and has an id of its own."""
    numbered = {content: int(i) for content, i in _json(folder / "added_tokens.json").items()}
    known = {content: AddedToken(content, normalized=True) for content in numbered}
    for number, token in (given.get("added_tokens_decoder") or {}).items():
        numbered[_content(token)] = int(number)
        known[_content(token)] = _token(token, special=False)
    more = given.get("additional_special_tokens") or given.get("extra_special_tokens") or ()
    named = dict(_named(given))
    for token in [named.get(role, names.get(role)) for role in ROLES] + list(more):
        if token:
            special = known.get(_content(token)) or _token(token, special=True)
            special.special = True
            known[_content(token)] = special
    for token in sorted(known.values(), key=lambda x: numbered.get(x.content, len(numbered) << 32)):
        made.add_tokens([token])
    ids = made.get_vocab(with_added_tokens=True)
    for content, number in numbered.items():
        if ids[content] != number:
            raise UserError(
                f"{folder}: the token {content!r} is to have the id {number}, and has {ids[content]} in "
                "the vocabulary: the files are of two tokenizers."
            )


def _token(given: Any, special: bool) -> AddedToken:
    if not isinstance(given, Mapping):
        return AddedToken(str(given), special=special, normalized=not special)
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    found = {key: bool(given[key]) for key in flags if key in given}
    return AddedToken(given["content"], **{"special": special, **found})
