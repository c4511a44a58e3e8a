"""Texts that have a class, labels or a number: the probabilities of them, and why."""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bigmodel_jax import apply
from bigmodel_jax.applied import Explaining, Text, base
from bigmodel_jax.applied.printing import Show
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.explanations import answers
from bigmodel_jax.explanations.answers import Answer, Meaning


class Answers(apply.Applied, base.Answers):
    """A run on labelled texts, single ones or pairs; its answers are explanations/answers.py's."""

    data = ("text",)

    @property
    def meaning(self) -> Meaning:
        return Meaning(self.target, self.label_names)

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """As of base.Answers; or pairs."""
        return self.pairs_of(given, tabs) if self.pairs else super().texts(given, tabs)

    def answers(self, texts: Sequence[Text], batch_size: int = 0) -> list[Answer]:
        """What the run says of each text, not explained."""
        values, empty = self.answer(texts, batch_size)
        return [Answer(*found) for found in zip(texts, values, map(bool, empty), strict=True)]

    def as_json(self, answer: Answer) -> dict[str, Any]:
        return answers.as_json(answer, self.meaning)

    def table(self) -> Show:
        return answers.table(self.meaning)

    @contextlib.contextmanager
    def shown(self, form: str, explaining: Explaining | None) -> Iterator[Show]:
        """Prints answers; explained ones as they are, and to a page."""
        if not explaining:
            with super().shown(form, None) as plain:
                yield plain
            return
        label, names, page = explaining.label, self.label_names, explaining.page
        if label is not None and label not in names:
            raise UserError(f"--explain_class={label}.{nearest(label, names)}")
        shows = [
            answers.jsonl(self.meaning) if form == "jsonl" else answers.explained(self.meaning)
        ]
        counts = {"all": 0, "incomplete": 0}

        def show(found):
            found = [self.explained(answer, label) for answer in found]
            counts["all"] += len(found)
            counts["incomplete"] += sum(not x.explanation.attribution.complete for x in found)
            for one in shows:
                one(found)

        with contextlib.ExitStack() as stack:
            if page:
                shows.append(stack.enter_context(self._page(page)).add)
            yield show
        if counts["incomplete"]:
            print(
                f"NOTE: in {counts['incomplete']} of {counts['all']} explanations the attributions do "
                f"not add up within {answers.CLOSE}.",
                file=sys.stderr,
            )
        if page:
            print(f"Explanations are in {page}.", file=sys.stderr)

    def explained(self, answer: Answer, label: str | None = None) -> Answer:
        """The answer with the explanation of a label, or of the most probable one."""
        best = 0 if self.target == "number" else int(answer.values.argmax())
        index = best if label is None else self.label_names.index(label)
        return answer._replace(explanation=self.explain(answer.text, index))

    def _page(self, page):
        from bigmodel_jax.explanations.page import ExplanationPage

        return ExplanationPage(Path(page).expanduser(), self.meaning, str(self.assets.parent))
