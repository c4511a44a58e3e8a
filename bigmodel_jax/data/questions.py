"""Reads questions whose answers are parts of a text, in the layouts in which they are published.

    {"version": "v2.0", "data": [{"title": "...", "paragraphs": [{"context": "...", "qas": [
        {"id": "...", "question": "...", "answers": [{"text": "...", "answer_start": 17}]}]}]}]}

is SQuAD's (.json; Rajpurkar et al. 2016, 2018); a file of .jsonl has a question a line:

    {"id": "...", "question": "...", "context": "...", "answers": {"text": ["..."], "answer_start": [17]}}

where the answers may stand as above, too. A question without answers has none in its context; places
are counted in characters, from 0.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax.data.compressed import extension, open_plain, stem
from bigmodel_jax.data.layout import SPLITS
from bigmodel_jax.data.lines import Lines, decode
from bigmodel_jax.errors import UserError, nearest

# train-v1.1.json, dev-v2.0.json, test.jsonl.gz
_NAMED = re.compile(rf"({'|'.join(SPLITS)})(?:[-_.].*)?", re.IGNORECASE)
FORMATS = (".json", ".jsonl")
NEAR = 2  # characters that the published places are off by, here and there


class Answer(NamedTuple):
    """A part of a context, and the character that it begins at."""

    text: str
    start: int


class Question(NamedTuple):
    """A question and the answers that people gave; none of them: the context has none.

    `place` is where it stands, for messages.
    """

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    place: str


def find(path: str, files: Mapping[str, str | None]) -> dict[str, list[Path]]:
    """The files of each split: those that `files` names, else those that are named after splits.

    Args:
        path: a file, all of it train, or a folder.
        files: names in that folder, or paths, by split.

    Raises:
        UserError: there are none, or it is not clear which is what.
    """
    root, named = Path(path).expanduser(), {k: v for k, v in files.items() if v}
    if named:
        found = {}
        for split, name in named.items():
            if split not in SPLITS:
                raise UserError(f"config.data.files has no {split!r}.{nearest(split, SPLITS)}")
            file = root / Path(name).expanduser()
            if not file.is_file():
                raise UserError(f"config.data.files.{split}: there is no file {file}.")
            found.setdefault(SPLITS[split], []).append(file)
        if "train" not in found:
            raise UserError("config.data.files names no train: --config.data.files.train=FILE.")
    elif root.is_file():
        found = {"train": [root]}
    elif not root.is_dir():
        raise UserError(f"There is no file or folder {path}.")
    else:
        found = {}
        inside = [p for p in sorted(root.iterdir()) if p.is_file() and extension(p) in FORMATS]
        for file in inside:
            if match := _NAMED.fullmatch(stem(file)):
                found.setdefault(SPLITS[match[1].lower()], []).append(file)
        for split, several in found.items():
            if len(several) > 1:
                raise UserError(
                    f"Both {several[0]} and {several[1]} would be the {split} split: name one with "
                    f"--config.data.files.{split}=FILE."
                )
        if "train" not in found:
            names = ", ".join(p.name for p in inside) or "no .json or .jsonl file"
            raise UserError(
                f"{path} holds no file like train-v1.1.json, but {names}: name it with "
                "--config.data.files.train=FILE."
            )
    if "validation" in found and "test" not in found:
        # Of the published tests nobody has the answers: the dev file is what results are of.
        found["test"] = found.pop("validation")
    return found


def read(path: Path) -> list[Question]:
    """The questions of a file.

    Raises:
        UserError: anything wrong in it, with the place; no question; two of one id.
    """
    found = list(_lines(path) if extension(path) == ".jsonl" else _nested(path))
    if not found:
        raise UserError(f"{path} holds no questions.")
    check_ids(found)
    return found


def check_ids(questions: list[Question]) -> None:
    """Raises a UserError for two questions of one id."""
    known: dict[str, str] = {}
    for asked in questions:
        if (other := known.setdefault(asked.id, asked.place)) != asked.place:
            raise UserError(
                f"{asked.place}: the id {asked.id!r} is that of {other}, too: ids are different."
            )


def _lines(path: Path) -> Iterator[Question]:
    with open_plain(path) as file:
        lines = Lines(path, file)
        for raw in filter(str.strip, lines):
            place = f"{path} line {lines.line}"
            item = _parsed(raw, place)
            yield question(place, item.get("context") if isinstance(item, dict) else None, item)


def _nested(path: Path) -> Iterator[Question]:
    with open_plain(path) as file:
        text = decode(file.read(), str(path)).removeprefix("\ufeff")
    if not text.strip():
        raise UserError(f"{path} is empty.")
    for i, article in enumerate(_list(_parsed(text, str(path)), "data", str(path))):
        place = f"{path} data[{i}]"
        for j, item in enumerate(_list(article, "paragraphs", place)):
            yield from paragraph(f"{place}.paragraphs[{j}]", item)


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        advice = " A file with an object a line is called .jsonl." * ("Extra data" in str(error))
        raise UserError(f"{place} is not JSON: {error}.{advice}") from error


def paragraph(place: str, item: Any) -> Iterator[Question]:
    """The questions of a paragraph, {"context": str, "qas": [...]}."""
    questions = _list(item, "qas", place)
    for k, asked in enumerate(questions):
        yield question(f"{place}.qas[{k}]", item.get("context"), asked)


def question(place: str, context: Any, item: Any) -> Question:
    """A question from {"id", "question", "answers", "is_impossible"} and its context.

    Raises:
        UserError: it is not as the module's docstring says.
    """
    if not isinstance(item, dict):
        raise UserError(f"{place} is not a JSON object with an id, a question and answers.")
    texts = {"id": item.get("id"), "question": item.get("question"), "context": context}
    for key, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{place} has no {key}: it is a string, not {text!r:.40}.")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:  # JSON can write them
            raise UserError(
                f"{place}: its {key} holds half of a character, {text[error.start]!r}, which no "
                "UTF-8 text has: take it out."
            ) from error
    answers = item.get("answers")
    if isinstance(answers, dict):
        columns = [_list(answers, key, f"{place}.answers") for key in ("text", "answer_start")]
        if len(columns[0]) != len(columns[1]):
            raise UserError(f"{place}: its answers are not as many texts as places.")
        answers = [{"text": t, "answer_start": s} for t, s in zip(*columns, strict=True)]
    if not isinstance(answers, list):
        raise UserError(f"{place} has no answers: they are a list, not {answers!r:.40}.")
    impossible = item.get("is_impossible")
    if impossible is False and not answers or impossible is True and answers:
        raise UserError(
            f"{place} has {len(answers)} answers, but its is_impossible is {str(impossible).lower()}."
        )
    found = tuple(_answer(f"{place}.answers[{i}]", context, a) for i, a in enumerate(answers))
    return Question(texts["id"], texts["question"], context, found, place)


def _answer(place: str, context: str, item: Any) -> Answer:
    text, start = (
        (item.get("text"), item.get("answer_start")) if isinstance(item, dict) else (None, None)
    )
    if not isinstance(text, str) or not text.strip() or type(start) is not int:
        raise UserError(
            f"{place} is not {{'text': ..., 'answer_start': ...}} with a text and a whole number, but "
            f"{item!r:.60}."
        )
    for off in sorted(range(-NEAR, NEAR + 1), key=abs):
        if start + off >= 0 and context.startswith(text, start + off):
            return Answer(text, start + off)
    there = context[start : start + len(text)] if 0 <= start < len(context) else ""
    raise UserError(
        f"{place}: at character {start} of its context stands {there[:40]!r}, not the answer "
        f"{text[:40]!r}."
    )


def _list(item: Any, key: str, place: str) -> list:
    found = item.get(key) if isinstance(item, dict) else None
    if not isinstance(found, list):
        raise UserError(
            f"{place} has no list {key!r}: questions are laid out as in SQuAD, {{'data': "
            "[{'paragraphs': [{'context': ..., 'qas': [...]}]}]}, or are lines of .jsonl."
        )
    return found
