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


def scores(answers: Sequence[str], gold: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """{"exact", "f1": float32 [questions]} of the answers to some questions.

    Args:
        answers: to each question; "" is none.
        gold: what people answered; nothing where there is no answer.
    """
    pairs = list(zip(answers, gold, strict=True))
    found = {"exact": [exact(*pair) for pair in pairs], "f1": [f1(*pair) for pair in pairs]}
    return {name: np.array(values, np.float32) for name, values in found.items()}


def summary(found: Mapping[str, np.ndarray], gold: Sequence[Sequence[str]]) -> dict[str, float]:
    """The means of `scores` by name, from 0 to 1, and their 95% intervals: "f1", "f1/low", "f1/high".

    Where some questions have no answer and some have, also those of both kinds, "f1/answerable" and
    "f1/unanswerable".
    """
    impossible = _impossible(gold)
    numbers: dict[str, float] = {}
    for name, values in found.items():
        values = values.astype(np.float64)
        low, high = bootstrap(values)
        numbers |= {name: values.mean(), f"{name}/low": low, f"{name}/high": high}
        if 0 < impossible.sum() < len(gold):
            numbers[f"{name}/answerable"] = values[~impossible].mean()
            numbers[f"{name}/unanswerable"] = values[impossible].mean()
    return {name: float(value) for name, value in numbers.items()}


def best_threshold(
    answers: Sequence[str], gold: Sequence[Sequence[str]], odds: Sequence[float]
) -> tuple[float, float]:
    """(the best F1 that a threshold could have reached, that threshold: the highest of several).

    Args:
        answers: the best span of each question, whether or not there is an answer.
        gold: as of `scores`.
        odds: how much higher the score of no answer is; above the threshold it is what is answered.
    """
    values = np.array([f1(*pair) for pair in zip(answers, gold, strict=True)])
    order = np.argsort(-np.asarray(odds), kind="stable")
    ranked = np.asarray(odds, np.float64)[order]
    # Of the first k questions "" is said, of the others the span, where a threshold can tell them.
    gains = np.where(_impossible(gold), 1.0, 0.0) - values
    totals = values.sum() + np.append(0.0, np.cumsum(gains[order]))
    possible = np.append(True, np.diff(ranked, append=-np.inf) < 0)
    best = int(np.where(possible, totals, -np.inf).argmax())
    # Not above its own odds is the question that comes next; below all odds none is answered.
    threshold = ranked[best] if best < len(ranked) else ranked[-1] - 1.0
    return float(totals[best] / len(values)), float(threshold)


def _impossible(gold: Sequence[Sequence[str]]) -> np.ndarray:
    return np.array([not right for right in gold])
