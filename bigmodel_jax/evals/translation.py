"""Evaluates what an encoder-decoder writes: a split is answered, and compared with what people wrote."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from bigmodel_jax.evals import language, translation_metrics
from bigmodel_jax.generation.seq2seq import Generator
from bigmodel_jax.generation.translator import Search, Translator


class Evaluator(language.Evaluator):
    """The loss and perplexity of the targets (evals/language.py), and scores of answers by beam search.

    A score "bleu" has beside it "bleu_ci": the true one of such texts lies so far above or below it,
    with 95%. `details` hold the signatures, and the answers.

    Args:
        metrics: "bleu", "chrf", "rouge", "squad"; see evals/translation_metrics.py.
        beams, length_penalty, max_ratio: see generation/translator.py.
        sources_at_once: that are answered in one batch.
        split, task, open_source, mesh, batch_size: as of Pass; the last is of rows, for the loss.
    """

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 64,
        metrics: Sequence[str] = ("bleu", "chrf"),
        beams: int = 4,
        length_penalty: float = 1.0,
        max_ratio: float = 2.0,
        sources_at_once: int = 64,
    ):
        given: dict[str, Any] = {"split": split, "task": task, "open_source": open_source}
        super().__init__(**given, mesh=mesh, batch_size=batch_size)
        self._metrics = translation_metrics.check(metrics)
        self._search = Search(beams, length_penalty, max_ratio, sources_at_once).check()
        self._model = task.model
        # LoRA: what writes are plain parameters.
        self._merge = jax.jit(task.merge) if hasattr(task, "merge") else None
        self._generator: Generator | None = None
        self._said = False  # how the scores are computed

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name."""
        numbers, source = super().run(variables), self.source
        tokenizer = source.tokenizer
        if self._merge:
            variables = {**variables, "params": self._merge(variables["params"])}
        if self._generator is None:
            ends, known = (tokenizer.separator,), tokenizer.vocabulary_size
            fields = {"start": source.start, "ends": ends, "known": known}
            self._generator = Generator(self._model, variables, self._mesh, **fields)
        self._generator.use(variables)
        translator = Translator(self._generator, tokenizer, source.source_length, self._search)
        answers = translator.translate([pair.source for pair in source.pairs])
        references = [pair.target for pair in source.pairs]
        scores = translation_metrics.compute(self._metrics, answers, references)
        for name, score in scores.items():
            numbers |= {name: score.value, f"{name}_ci": score.half}
            if not self._said and jax.process_index() == 0:
                print(f"{name}: {score.signature}", flush=True)
        self._said = True
        self.details |= {
            "examples": len(answers),
            "signatures": {name: score.signature for name, score in scores.items()},
            "answers": answers,
        }
        return numbers
