"""A source of conversations, of which a language model learns the assistant's part.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

a line of JSONL; or a prompt and a response in two columns of any kind of file. A template, plain data,
says what stands before and after each role's text; it and the texts are tokenised apart, so that what
a model is asked later has the very ids that it learnt from. The separator ends each answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import records, tokenizing
from bigmodel_jax.data.corpora import by_split
from bigmodel_jax.data.in_memory import InMemory, Read
from bigmodel_jax.data.packing import Runs, fill, make_index
from bigmodel_jax.data.rows import ends_of_document
from bigmodel_jax.data.token_files import file_sha256
from bigmodel_jax.errors import UserError, nearest

# What stands before and after the text of each role.
TEMPLATE = {"system": ("", "\n\n"), "user": ("User: ", "\n"), "assistant": ("Assistant: ", "\n")}
ANSWERS = "assistant"  # the role whose texts are learnt
SPLITS = {"train": "train[:90%]", "val": "train[90%:]"}
Message = Mapping[str, str]


class Conversation(NamedTuple):
    """Messages; `place` is where they stand, for messages of ours."""

    place: str
    messages: list[Message]


class Source(InMemory):
    """Batches as of data/tokens.py, but that "mask" is True only where "targets" are of an answer.

    A conversation is a segment; of one longer than a row the beginning is kept.

    Args:
        path: files, of which those named train and val are these splits.
        reader: spec of a reader of conversations, such as synthetic_chats, in place of `path`.
        tokenizer: spec of a tokenizer; usually that of a pretrained run, dict(name="raw", path=...).
        template: (before, after) by role; see TEMPLATE.
        messages_column: the key of the messages.
        prompt_column, response_column: in their place, of files that have a column for each.
        packing: "best_fit" or "documents", as in data/tokens.py.
        length, buckets, splits, batch_size, fingerprint, split, training, seed, group, data_dir,
            process: as in data/tokens.py.
    """

    def __init__(
        self,
        *,
        tokenizer: Mapping,
        length: int,
        batch_size: int,
        path: str | None = None,
        reader: Mapping | None = None,
        template: Mapping[str, Sequence[str]] = TEMPLATE,
        messages_column: str = "messages",
        prompt_column: str | None = None,
        response_column: str | None = None,
        splits: Mapping[str, str] = SPLITS,
        packing: str = "best_fit",
        buckets: Sequence[int] = (),
        fingerprint: str = "",
        split: str = "train",
        training: bool = True,
        seed: int = 0,
        group: int = 1,
        data_dir: str = "",
        process: tuple[int, int] = (0, 1),
    ):
        if packing not in ("best_fit", "documents"):
            known = ("best_fit", "documents")
            raise UserError(
                f"There is no config.data.packing {packing!r}.{nearest(packing, known)}"
            )
        columns = {"--config.data.messages_column": messages_column}
        if prompt_column or response_column:
            columns = {
                "--config.data.prompt_column": prompt_column or "prompt",
                "--config.data.response_column": response_column or "response",
            }
        if path is not None:
            read = _of_files(path, columns)
        elif reader is not None:
            read = _of_reader(config.build("data.readers", reader, data_dir=data_dir))
        else:
            raise UserError("Where are the conversations? --config.data.path=FILE names them.")
        self._template, self._packing = template, packing
        super().__init__(
            read._replace(identity=[*read.identity, config.plain(template)]),
            splits=splits,
            tokenizer=tokenizing.build(tokenizer),
            max_length=length,
            batch_size=batch_size,
            buckets=buckets if packing == "documents" else (length,),
            fingerprint=fingerprint,
            split=split,
            training=training,
            seed=seed,
            group=group,
            process=process,
        )
        self.padding = 1 - float(self.lengths.sum()) / (self.examples * length)

    def check_split(self, split: str) -> None:
        """Raises a UserError for a split without an answer: evaluators open theirs late."""
        self._encoded(self.chosen(split), split)

    def learnt(self, examples: Sequence[Conversation]) -> Iterable[str]:
        return (
            m["content"].join(self._template.get(m["role"], ("", "")))
            for example in examples
            for m in example.messages
        )

    def key(self, example: Conversation) -> tuple[str, ...]:
        return tuple(m["content"] for m in example.messages)

    def encode(self, examples: Sequence[Conversation]) -> np.ndarray:
        found = self._encoded(examples, self.split)
        if found.cut or found.without:
            self.say(
                f"of {len(examples):,} conversations {found.cut:,} are longer than config.data."
                f"length {self.max_length} and lose their ends; {found.without:,} have no answer left "
                "and are not used."
            )
        self._tokens, self._learnt = found.tokens, found.learnt
        self._index = make_index(self._packing, found.first, found.count, self.max_length)
        return self._index.lengths

    def assemble(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        none = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        found = [self._index.runs(int(row), 0) if row >= 0 else none for row in rows]
        runs = Runs(
            np.concatenate([first for first, _ in found]),
            np.concatenate([count for _, count in found]),
            np.array([len(first) for first, _ in found]),
        )
        batch = fill(self._tokens, runs, length, shift=True)
        learnt = fill(self._learnt, runs, length, shift=True)["targets"]
        marks = {"mask": learnt.astype(bool), "valid": rows >= 0, "index": rows.astype(np.int32)}
        return {**batch, **marks}

    def _encoded(self, conversations: Sequence[Conversation], split: str) -> "Encoded":
        before = ends_of_document(self.tokenizer)[0]
        tokens, learnt, first, count, at, cut, without = [], [], [], [], 0, 0, 0
        for place, messages in conversations:
            ids, flags = encode_chat(messages, self.tokenizer, self._template, place)
            cut += len(ids) > self.max_length
            ids, flags = ids[: self.max_length], flags[: self.max_length]
            skipped = 0 if before else 1  # the first token, which nothing is before
            if not flags[skipped:].any():
                without += 1
                continue
            tokens += [np.array(before, np.int32), ids]
            learnt += [np.zeros(len(before), bool), flags]
            first.append(at + len(before) + skipped)
            count.append(len(ids) - skipped)
            at += len(before) + len(ids)
        if not first:
            raise UserError(
                f"No conversation of {self.reader_name} {split} has an answer of the {ANSWERS!r} "
                f"within config.data.length {self.max_length} tokens: raise it."
            )
        flat = np.concatenate(tokens), np.concatenate(learnt)
        return Encoded(*flat, np.array(first, np.int64), np.array(count, np.int64), cut, without)


class Encoded(NamedTuple):
    """Conversations one after another.

    Attributes:
        tokens, learnt: ids int32, and which are of an answer, bool.
        first, count: where what is predicted of each begins, and its tokens; int64.
        cut, without: how many lost their ends; and how many have no answer left, and are not here.
    """

    tokens: np.ndarray
    learnt: np.ndarray
    first: np.ndarray
    count: np.ndarray
    cut: int
    without: int


def _of_files(path: str, columns: Mapping[str, str]) -> Read:
    files = by_split([path])
    read = {
        name: [
            read_messages(place, values)
            for file in found
            for place, values in records.read(file, columns)
        ]
        for name, found in files.items()
    }
    hashes = [[name, [file_sha256(file) for file in found]] for name, found in files.items()]
    return Read(Path(path).name, False, [*hashes, list(columns.values())], read)


def _of_reader(reader: Any) -> Read:
    """The conversations of a reader of messages."""
    read = {
        name: [
            read_messages(f"{reader.name} {name} example {i}", [example["messages"]])
            for i, example in enumerate(reader.examples(name))
        ]
        for name in reader.splits
    }
    return Read(reader.name, reader.synthetic, [reader.fingerprint()], read)


def read_messages(place: str, values: Sequence[Any]) -> Conversation:
    """The conversation of a record: of its messages, or of its prompt and response.

    Raises:
        UserError: they are not as the module's docstring says.
    """
    if len(values) == 2:
        values = [
            [
                {"role": role, "content": text}
                for role, text in zip(("user", ANSWERS), values, strict=True)
            ]
        ]
    (messages,) = values
    ok = isinstance(messages, list) and messages
    for message in messages if ok else ():
        parts = [message.get(k) for k in ("role", "content")] if isinstance(message, dict) else [0]
        ok = ok and all(isinstance(part, str) for part in parts)
    if not ok:
        raise UserError(
            f"{place}: messages are a list of {{'role': ..., 'content': ...}} with strings in it."
        )
    return Conversation(place, messages)


def encode_chat(
    messages: Sequence[Message],
    tokenizer: Any,
    template: Mapping[str, Sequence[str]] = TEMPLATE,
    place: str = "The conversation",
    answer_next: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """(ids int32 [length], bool [length]: of an answer, with the separator that ends it).

    Args:
        answer_next: with what stands before an answer at the end, for a model to go on.

    Raises:
        UserError: a role that the template does not know; `place` says where.
    """
    end = [] if tokenizer.separator is None else [tokenizer.separator]
    parts: list[tuple[Any, bool]] = []
    for message in messages:
        role = message["role"]
        if role not in template:
            raise UserError(
                f"{place}: config.data.template has no role {role!r}.{nearest(role, template)}"
            )
        before, after = template[role]
        learnt = role == ANSWERS
        parts += [(tokenizer.encode(before), False), (tokenizer.encode(message["content"]), learnt)]
        parts += [(end, True)] if learnt else []
        parts += [(tokenizer.encode(after), False)]
    if answer_next:
        parts += [(tokenizer.encode(template[ANSWERS][0]), False)]
    ids = np.concatenate([np.asarray(part, np.int32) for part, _ in parts])
    return ids, np.repeat([flag for _, flag in parts], [len(part) for part, _ in parts])
