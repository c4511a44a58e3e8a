"""How near texts are to those that people wrote: BLEU, chrF, ROUGE, and whether they are the same.

By the libraries that papers report, sacrebleu (Post 2018) and rouge-score (Lin 2004), of whole texts as
they are to be read; exact match and F1 of words as SQuAD defines them. All with bootstrap intervals.
"""

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.evals import span_metrics
from bigmodel_jax.evals.bootstrap import bootstrap

DRAWS, SEED = 1000, 12345  # of texts, with return; sacrebleu's own numbers
ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")  # of the last a line is a sentence


class Score(NamedTuple):
    """A number from 0 to 100.

    Attributes:
        half: of the interval that holds 95% of the numbers of as many texts drawn with return.
        signature: how it was computed, with versions.
    """

    value: float
    half: float
    signature: str


def compute(
    metrics: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]
) -> dict[str, Score]:
    """Scores by name: "bleu", "chrf"; of "rouge" all of ROUGE, of "squad" "exact" and "f1"."""
    found: dict[str, Score] = {}
    for name in check(metrics):
        found |= METRICS[name](list(hypotheses), list(references))
    return found


def check(metrics: Sequence[str]) -> Sequence[str]:
    """The metrics, if all are known and their libraries here; raises a UserError otherwise.

    An evaluator asks when it is built, not after hours of training.
    """
    for name in metrics:
        if name not in METRICS:
            raise UserError(f"There is no metric {name!r} of texts.{nearest(name, METRICS)}")
    if "rouge" in metrics and importlib.util.find_spec("rouge_score") is None:
        raise UserError(
            "The metric 'rouge' needs the package rouge-score: pip install 'bigmodel_jax[rouge]', or "
            "leave it out of the evaluator's metrics."
        )
    return metrics


def _bleu(hypotheses, references):
    from sacrebleu.metrics import BLEU

    return {"bleu": _sacrebleu(BLEU(), hypotheses, references)}


def _chrf(hypotheses, references):
    from sacrebleu.metrics import CHRF

    return {"chrf": _sacrebleu(CHRF(), hypotheses, references)}


def _sacrebleu(metric: Any, hypotheses, references) -> Score:
    # Of one text there is nothing to draw.
    draws = DRAWS if len(hypotheses) > 1 else 1
    compute = metric._compute_score_from_stats

    def compute_as_float(stats):
        """As sacrebleu does; its draws are float32, or float where nothing agrees, which have no mean."""
        score = compute(stats)
        score.score = float(score.score)
        return score

    metric._compute_score_from_stats = compute_as_float
    score = metric.corpus_score(hypotheses, [references], n_bootstrap=draws)
    half = max(0.0, score._ci)  # which is shown, but has no other name
    return Score(float(score.score), float(half), str(metric.get_signature()))


def _rouge(hypotheses, references):
    """F-measures of stemmed words; rouge-score reads the letters a to z and digits alone."""
    from rouge_score.rouge_scorer import RougeScorer  # pyright: ignore[reportMissingImports]

    scorer = RougeScorer(list(ROUGE), use_stemmer=True)
    rows = [scorer.score(*pair) for pair in zip(references, hypotheses, strict=True)]
    version = importlib.metadata.version("rouge-score")
    how = f"nrefs:1|bs:{DRAWS}|seed:{SEED}|stemmer:yes|f:1|version:{version}"
    return {name: _mean([row[name].fmeasure for row in rows], how) for name in ROUGE}


def _squad(hypotheses, references):
    """Of texts in lower case, without punctuation and articles."""
    found = span_metrics.scores(hypotheses, [[text] for text in references])
    how = f"nrefs:1|bs:{DRAWS}|seed:{SEED}|normalised:squad"
    return {name: _mean(values, how) for name, values in found.items()}


def _mean(values: Any, signature: str) -> Score:
    """Of a number from 0 to 1 for each text."""
    values = 100 * np.asarray(values, np.float64)
    low, high = bootstrap(values, SEED, DRAWS)
    return Score(float(values.mean()), float(high - low) / 2, signature)


METRICS = {"bleu": _bleu, "chrf": _chrf, "rouge": _rouge, "squad": _squad}
