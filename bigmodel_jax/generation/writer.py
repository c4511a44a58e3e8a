"""A trained language model that writes: its run's directory is all that is needed.

with load_writer("runs/gpt_shakespeare", Sampling(temperature=0.8)) as writer:
    for piece in writer.stream("ROMEO:", max_tokens=200):
        print(piece, end="")
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bigmodel_jax import apply, rundir
from bigmodel_jax.data import published
from bigmodel_jax.data.chat import TEMPLATE, encode_chat
from bigmodel_jax.data.rows import ends_of_document
from bigmodel_jax.data.token_files import load_tokenizer
from bigmodel_jax.errors import UserError
from bigmodel_jax.generation.decoder import Decoder
from bigmodel_jax.generation.sampling import Sampling

UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # what bytes of half a character are shown as


class Writer:
    """Texts from prompts.

    Args:
        template: of a run on chats, in which a prompt is what the user says, and the text the
            answer; None takes prompts as they are.

    Attributes:
        tokenizer: of the run.
        decoder: of its model, on ids.
    """

    def __init__(
        self,
        run: apply.Loaded,
        tokenizer,
        sampling: Sampling,
        template: Mapping[str, Sequence[str]] | None = None,
    ):
        self.tokenizer, self._template = tokenizer, template
        self._before = ends_of_document(tokenizer)[0]
        ends = {tokenizer.separator} - {None} | set(published.ends(run.assets))
        self.decoder = Decoder(
            run.task.model,
            run.variables,
            run.mesh,
            sampling,
            sorted(ends),
            known=tokenizer.vocabulary_size,
        )

    def stream(self, prompt: str, max_tokens: int, stops: Sequence[str] = (), seed: int = 0):
        """Yields the text that follows a prompt, piece by piece; see `write`."""
        for pieces in self._pieces([prompt], max_tokens, stops, seed):
            yield pieces[0]

    def write(
        self, prompts: Sequence[str], max_tokens: int, stops: Sequence[str] = (), seed: int = 0
    ) -> list[str]:
        """The text that follows each prompt, without it.

        Args:
            max_tokens: new tokens at most.
            stops: a text ends before the first of these that it would hold.
        """
        texts = [""] * len(prompts)
        for pieces in self._pieces(prompts, max_tokens, stops, seed):
            texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
        return texts

    def search(
        self, prompts: Sequence[str], max_tokens: int, beams: int, length_penalty: float = 1.0
    ) -> list[str]:
        """The likeliest text that a beam search finds after each prompt."""
        found = self.decoder.search(self._ids(prompts), max_tokens, beams, length_penalty)
        return [self.tokenizer.decode(ids) for ids in found]

    def _ids(self, prompts):
        return [[*self._before, *map(int, self._encode(text))] for text in prompts]

    def _encode(self, prompt):
        if self._template is None:
            return self.tokenizer.encode(prompt)
        asked = [{"role": "user", "content": prompt}]
        return encode_chat(asked, self.tokenizer, self._template, answer_next=True)[0]

    def _pieces(self, prompts, max_tokens, stops, seed) -> Iterator[list[str]]:
        """What is new of each text. What may be the beginning of a stop waits until it is not."""
        if any(not stop for stop in stops):
            raise UserError("--stop is empty: it is a text before which to stop.")
        ids, texts = self._ids(prompts), [Text(self.tokenizer, stops) for _ in prompts]
        for new in self.decoder.write(ids, max_tokens, seed):
            yield [text.add(row) for text, row in zip(texts, new, strict=True)]
            if all(text.stopped for text in texts):
                return
        yield [text.rest() for text in texts]


class Text:
    """One text in the making: ids go in, and characters come out as soon as they are certain."""

    def __init__(self, tokenizer, stops: Sequence[str] = ()):
        self._tokenizer, self._stops = tokenizer, stops
        self._ids: list[int] = []
        self._shown = 0
        self.stopped = False

    def add(self, ids: Sequence[int]) -> str:
        """The characters that are certain now."""
        if self.stopped:
            return ""
        self._ids += ids
        text = self._tokenizer.decode(self._ids)
        stop = min((i for i in map(text.find, self._stops) if i >= 0), default=-1)
        if stop >= 0:
            self.stopped = True
            return self._show(text[:stop])
        text = text.rstrip(UNFINISHED)
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        return self._show(text[: len(text) - held])

    def rest(self) -> str:
        """What is left when nothing more will come."""
        return "" if self.stopped else self._show(self._tokenizer.decode(self._ids))

    def _show(self, text):
        new, self._shown = text[self._shown :], max(self._shown, len(text))
        return new


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of a stop."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((n for n in sizes if text.endswith(stop[:n])), 0)


@contextlib.contextmanager
def load_writer(workdir: str | Path, sampling: Sampling, chat: bool = False) -> Iterator[Writer]:
    """The language model of a run: the best parameters where it watched a metric, else the newest.

    Args:
        chat: prompts are what a user says, in the template that the run has learnt.

    Raises:
        UserError: `workdir` is no run, holds no checkpoint, or none of a model that writes; or has
            learnt no chats.
    """
    settings = rundir.read_config(workdir)
    if chat and settings["data"]["name"] != "chat":
        raise UserError(
            f"--chat: {workdir} has learnt {settings['data']['name']!r} and no chats; leave it out."
        )
    template = settings["data"].get("template", TEMPLATE) if chat else None
    with apply.load(workdir) as run:
        name = settings["model"]["name"]
        if hasattr(run.task.model, "encode"):
            raise UserError(
                f"{workdir} is a run of the model {name!r}, which answers a text and writes on from none: "
                "that is what `predict` is for."
            )
        if not hasattr(run.task.model, "decode"):
            raise UserError(
                f"{workdir} is a run of the model {name!r}, which cannot write: that takes a decoder, such "
                "as gpt."
            )
        tokenizer = load_tokenizer(Path(workdir).expanduser() / "assets" / "tokenizer.json")
        yield Writer(run, tokenizer, sampling, template)
