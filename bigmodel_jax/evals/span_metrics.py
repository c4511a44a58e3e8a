"""Exact match and F1 of answers, as the official script of SQuAD 2.0 defines them.

Rajpurkar et al. 2018; that of SQuAD 1.1 gives the same on answers of which something is left when
they are normalised, as all of its own are.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from bigmodel_jax.evals.bootstrap import bootstrap

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """An answer in lower case, without ASCII punctuation and the articles, words a space apart."""
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact(answer: str, gold: Sequence[str]) -> float:
    """1 where the normalised answer is one of the gold ones, else 0.

    Gold answers of which nothing is left do not count; none at all means that "" is right.
    """
    return max(float(normalise(answer) == normalise(one)) for one in _counted(gold))


def f1(answer: str, gold: Sequence[str]) -> float:
    """The harmonic mean of precision and recall of the words that two answers share; the best."""
    return max(_f1(normalise(answer).split(), normalise(one).split()) for one in _counted(gold))


def _counted(gold: Sequence[str]) -> list[str]:
    return [one for one in gold if normalise(one)] or [""]


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    shared = (Counter(answer) & Counter(gold)).total()
    return 2 * shared / (len(answer) + len(gold))


def compute(
    answers: Sequence[str],
    gold: Sequence[Sequence[str]],
    odds: Sequence[float] | None = None,
    threshold: float = 0.0,
) -> dict[str, float]:
    """Numbers by name, from 0 to 1, of the answers to some questions.

    "exact" and "f1" with their 95% intervals, "exact_low", "exact_high" and so on. Where some
    questions have no answer and some have, also "exact/answerable", "exact/unanswerable" and the same
    of F1; and with `odds` "best_f1", what the threshold "best_threshold" would have reached: the
    highest of several that are as good.

    Args:
        answers: the best span of each question.
        gold: what people answered; nothing where there is no answer.
        odds: how much higher the score of no answer is than that of the span; above the `threshold`
            the answer is "". None: never.
    """
    none = np.zeros(len(answers), bool) if odds is None else np.asarray(odds) > threshold
    given = ["" if empty else answer for answer, empty in zip(answers, none, strict=True)]
    impossible = np.array([not any(map(normalise, right)) for right in gold])
    numbers: dict[str, float] = {}
    for name, score in (("exact", exact), ("f1", f1)):
        values = np.array([score(*pair) for pair in zip(given, gold, strict=True)])
        low, high = bootstrap(values)
        numbers |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
        if 0 < impossible.sum() < len(gold):
            numbers[f"{name}/answerable"] = float(values[~impossible].mean())
            numbers[f"{name}/unanswerable"] = float(values[impossible].mean())
    if odds is not None and impossible.any():
        numbers |= _best(np.array([f1(*pair) for pair in zip(answers, gold, strict=True)]), impossible, odds)
    return numbers


def _best(values: np.ndarray, impossible: np.ndarray, odds: Sequence[float]) -> Mapping[str, float]:
    """The F1 under the best threshold, and that; `values` are of answering every question."""
    order = np.argsort(-np.asarray(odds), kind="stable")
    # Of the first k questions "" is said, of the others the span, where a threshold can tell them.
    gains = np.where(impossible, 1.0, 0.0) - values
    totals = values.sum() + np.append(0.0, np.cumsum(gains[order]))
    ranked = np.asarray(odds, np.float64)[order]
    possible = np.append(True, np.diff(ranked, append=-np.inf) < 0)
    best = int(np.where(possible, totals, -np.inf).argmax())
    threshold = ranked[best] if best < len(ranked) else ranked[-1] - 1.0
    return {"best_f1": float(totals[best] / len(values)), "best_threshold": float(threshold)}
