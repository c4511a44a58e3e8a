"""Runs whose answers can be explained, which are labels or a number: how that is shown."""

import abc
import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import experiment
from bigmodel_jax.applied import Explaining, base
from bigmodel_jax.applied.printing import Show, json_lines
from bigmodel_jax.data.prepared import default_data_dir
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.explanations import answers
from bigmodel_jax.explanations.answers import Answer, Meaning
from bigmodel_jax.explanations.neighbours import TrainingSet
from bigmodel_jax.explanations.page import ExplanationPage


class Answers(base.Answers):
    """A run whose answers are explanations/answers.py's.

    Attributes:
        page: how explanations become a page.
    """

    page: type[ExplanationPage] = ExplanationPage

    @property
    @abc.abstractmethod
    def meaning(self) -> Meaning:
        """What the values of an answer stand for."""

    @abc.abstractmethod
    def explain(self, text: Any, label: int = 0, occlusion: bool = False) -> Any:
        """The explanation of a label, or of the number; with its occlusion."""

    @abc.abstractmethod
    def embed(self, texts: Sequence[Any]) -> np.ndarray:
        """What the model's last layer is given, float32 [texts, width]; see neighbours.embed."""

    def as_json(self, answer: Answer) -> dict[str, Any]:
        return answers.as_json(answer, self.meaning)

    def table(self) -> Show:
        return answers.table(self.meaning)

    def in_full(self) -> Show:
        """Explained answers in the terminal."""
        return answers.explained(self.meaning)

    @contextlib.contextmanager
    def shown(self, form: str, explaining: Explaining | None) -> Iterator[Show]:
        """Prints answers; explained ones as they are, and to a page."""
        if not explaining:
            with super().shown(form, None) as plain:
                yield plain
            return
        label, names, page = explaining.label, self.meaning.label_names, explaining.page
        if label is not None and label not in names:
            raise UserError(f"--explain_class={label}.{nearest(label, names)}")
        shows = [json_lines(self.as_json) if form == "jsonl" else self.in_full()]
        counts = {"all": 0, "incomplete": 0}
        training = self._training(explaining) if explaining.neighbours else None

        def show(found: Sequence[Answer]) -> None:
            found = [self.explained(answer, label, explaining.occlusion) for answer in found]
            if training:
                features = self.embed([answer.text for answer in found])
                near = training.nearest(features, explaining.neighbours)
                found = [x._replace(neighbours=n) for x, n in zip(found, near, strict=True)]
            counts["all"] += len(found)
            counts["incomplete"] += sum(not x.explanation.attribution.complete for x in found)
            for one in shows:
                one(found)

        with contextlib.ExitStack() as stack:
            if page:
                path, run = Path(page).expanduser(), str(self.assets.parent)
                shows.append(stack.enter_context(self.page(path, self.meaning, run)).add)
            yield show
        if counts["incomplete"]:
            print(
                f"NOTE: in {counts['incomplete']} of {counts['all']} explanations the attributions do "
                f"not add up within {answers.CLOSE}.",
                file=sys.stderr,
            )
        if page:
            print(f"Explanations are in {page}.", file=sys.stderr)

    def explained(
        self, answer: Answer, label: str | None = None, occlusion: bool = False
    ) -> Answer:
        """The answer with the explanation of a label, or of the most probable one."""
        best = 0 if self.meaning.target == "number" else int(answer.values.argmax())
        index = best if label is None else self.meaning.label_names.index(label)
        return answer._replace(explanation=self.explain(answer.text, index, occlusion))

    def _training(self, explaining: Explaining) -> TrainingSet:
        """The training part of the run's data, each example as the model sees it."""
        data_dir = explaining.data_dir or default_data_dir()
        open_source = functools.partial(
            experiment.open_source, self.config, data_dir, training=False
        )
        given: dict[str, Any] = {"task": self.task, "open_source": open_source, "mesh": self.mesh}
        found = TrainingSet(split="train", **given)
        found.remember(self.variables)
        return found
