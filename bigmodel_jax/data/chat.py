"""A source of conversations, of which a language model learns the assistant's part.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

a line of JSONL; or a prompt and a response in two columns of any kind of file. A template, plain data,
says what stands before and after each role's text; it and the texts are tokenised apart, so that what
a model is asked later has the very ids that it learnt from. The separator ends each answer.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import records, tokenizing
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data.corpora import by_split
from bigmodel_jax.data.corpus import find_split
from bigmodel_jax.data.hashes import text_hashes
from bigmodel_jax.data.order import Epochs, Plan, batches_per_epoch, plan_epoch
from bigmodel_jax.data.packing import Runs, fill, make_index
from bigmodel_jax.data.rows import check_buckets, ends_of_document
from bigmodel_jax.data.token_files import file_sha256
from bigmodel_jax.errors import UserError, nearest

# What stands before and after the text of each role.
TEMPLATE = {"system": ("", "\n\n"), "user": ("User: ", "\n"), "assistant": ("Assistant: ", "\n")}
ANSWERS = "assistant"  # the role whose texts are learnt
SPLITS = {"train": "train[:90%]", "val": "train[90%:]"}
Message = Mapping[str, str]


class Source:
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
        self.batch_size, self.training, self.seed, self.group = batch_size, training, seed, group
        self.length, self.process = length, process
        if packing not in ("best_fit", "documents"):
            known = ("best_fit", "documents")
            raise UserError(
                f"There is no config.data.packing {packing!r}.{nearest(packing, known)}"
            )
        if batch_size < 1 or batch_size % process[1]:
            raise UserError(
                f"config.data.batch_size {batch_size} does not divide over {process[1]} processes."
            )
        self.buckets = check_buckets(buckets, length) if packing == "documents" else (length,)
        columns = {"--config.data.messages_column": messages_column}
        if prompt_column or response_column:
            columns = {
                "--config.data.prompt_column": prompt_column or "prompt",
                "--config.data.response_column": response_column or "response",
            }
        if path is not None:
            self.reader_name, self.synthetic = Path(path).name, False
            self._read, identity = _of_files(path, columns)
        elif reader is not None:
            opened = config.build("data.readers", reader, data_dir=data_dir)
            self.reader_name, self.synthetic = opened.name, opened.synthetic
            self._read, identity = _of_reader(opened), [opened.fingerprint()]
        else:
            raise UserError("Where are the conversations? --config.data.path=FILE names them.")
        self._sizes = {name: len(found) for name, found in self._read.items()}
        self._splits = splitting.complete(splits, self._sizes)
        self.tokenizer = tokenizing.build(tokenizer)
        self.tokenizer.train(
            m["content"].join(template.get(m["role"], ("", "")))
            for _, messages in self._chosen("train")
            for m in messages
        )
        identity += [config.plain(template), getattr(self.tokenizer, "identity", str)()]
        self.fingerprint = hashlib.sha256(repr(identity).encode()).hexdigest()
        if fingerprint not in ("", self.fingerprint):
            raise UserError(
                f"{self.reader_name} here is not the data that config.data.fingerprint names: "
                f"{self.fingerprint[:12]}... instead of {fingerprint[:12]}.... Has a file changed?"
            )
        self._template = template
        self._tokens, self._learnt, first, count = self._encode(split, process[0] == 0)
        self._index = make_index(packing, first, count, length)
        self.lengths = self._index.lengths
        self.examples = len(self.lengths)
        self.padding = 1 - float(self.lengths.sum()) / (self.examples * length)
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        self.info = {"vocabulary_size": self.tokenizer.vocabulary_size, "max_length": length}
        self._epochs = Epochs(self._plan, self.steps_per_epoch, training)

    def check_split(self, split: str) -> None:
        """Raises a UserError for a split without an answer: evaluators open theirs late."""
        self._encode(split, say=False)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        return self.batch(0)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        plan, position = self._epochs.at(step)
        index, count = self.process
        rows, length = np.split(plan.indices[position], count)[index], int(plan.lengths[position])
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

    def rows(self, step: int) -> np.ndarray:
        """Which rows the batch of a step holds over all processes, [batch_size]; -1 pads."""
        plan, position = self._epochs.at(step)
        return plan.indices[position]

    def save_assets(self, folder: Path) -> None:
        """Writes the tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)

    def _chosen(self, split: str) -> list[tuple[str, list[Message]]]:
        """(place, messages) of the conversations of a split."""
        expression = find_split(self._splits, split)
        read = self._read.get(splitting.split_name(expression), [])
        texts = [tuple(m["content"] for m in messages) for _, messages in read]
        positions = splitting.parse(expression, self._sizes, lambda: text_hashes(texts))[1]
        return [read[i] for i in positions]

    def _encode(self, split: str, say: bool):
        """Conversations in a row: their ids, which are learnt, where each begins, how long it is."""
        conversations = self._chosen(split)
        before = ends_of_document(self.tokenizer)[0]
        tokens, learnt, first, count, at, cut, without = [], [], [], [], 0, 0, 0
        for place, messages in conversations:
            ids, flags = encode_chat(messages, self.tokenizer, self._template, place)
            cut += len(ids) > self.length
            ids, flags = ids[: self.length], flags[: self.length]
            skipped = 0 if before else 1  # the first token, which nothing is before
            if not flags[skipped:].any():
                without += 1
                continue
            tokens += [np.array(before, np.int32), ids]
            learnt += [np.zeros(len(before), bool), flags]
            first.append(at + len(before) + skipped)
            count.append(len(ids) - skipped)
            at += len(before) + len(ids)
        if say and (cut or without):
            print(
                f"NOTE: of {len(conversations):,} conversations {cut:,} are longer than config.data."
                f"length {self.length} and lose their ends; {without:,} have no answer left and are "
                "not used.",
                flush=True,
            )
        if not first:
            raise UserError(
                f"No conversation of {self.reader_name} {split} has an answer of the {ANSWERS!r} "
                f"within config.data.length {self.length} tokens: raise it."
            )
        places = np.array(first, np.int64), np.array(count, np.int64)
        return np.concatenate(tokens), np.concatenate(learnt), *places

    def _plan(self, epoch) -> Plan:
        return plan_epoch(
            self.lengths,
            self.batch_size,
            buckets=self.buckets,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.training,
            group=self.group,
        )


Read = dict[str, list[tuple[str, list[Message]]]]  # (place, messages) by split


def _of_files(path: str, columns: Mapping[str, str]) -> tuple[Read, list]:
    """(the conversations of files, what these are)."""
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
    return read, [*hashes, list(columns.values())]


def _of_reader(reader: Any) -> Read:
    """The conversations of a reader of messages."""
    return {
        name: [
            read_messages(f"{reader.name} {name} example {i}", [example["messages"]])
            for i, example in enumerate(reader.examples(name))
        ]
        for name in reader.splits
    }


def read_messages(place: str, values: Sequence[Any]) -> tuple[str, list[Message]]:
    """(place, messages) of a record: of its messages, or of its prompt and response.

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
    return place, messages


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
