"""Exact match and F1 against the definition of SQuAD's official script, word by word and slowly."""

import itertools
import string

import numpy as np
import pytest

from bigmodel_jax.evals.bootstrap import bootstrap
from bigmodel_jax.evals.span_metrics import best_threshold, exact, f1, normalise, scores, summary

ODD = (
    "", " ", "the", "The", "a.", "An apple", "an  apple ", "Apple,apple", "the theatre", "U.S.A.",
    "thea", "a-the", "1,000", "“the” end", "The\u00a0end", "İstanbul", "ﬁne", "the a an",
    "apple the apple", "apple apple pie", "Pie (apple)", "\tpie\n", "'", "naïve—ly", "été a la carte",
)  # fmt: skip


def slow_normalise(text):
    """Letter by letter: lower case, no punctuation, no words that are articles, single spaces."""
    kept = [c for c in text.lower() if c not in set(string.punctuation)]
    cuts, word = [], ""
    for c in [*kept, " "]:  # what a word is to a regular expression's \b
        if c.isalnum() or c == "_":
            word += c
        else:
            cuts += [" " if word in ("a", "an", "the") else word, c]
            word = ""
    return " ".join("".join(cuts).split())


def slow_f1(answer, gold):
    best = 0.0
    golden = [one for one in gold if slow_normalise(one)]
    for one in golden or [""]:
        right, said = slow_normalise(one).split(), slow_normalise(answer).split()
        left, shared = list(right), 0
        for word in said:
            if word in left:
                left.remove(word)
                shared += 1
        if not right or not said:
            score = 1.0 if right == said else 0.0
        elif shared == 0:
            score = 0.0
        else:
            precision, recall = shared / len(said), shared / len(right)
            score = 2 * precision * recall / (precision + recall)
        best = max(best, score)
    return best


def slow_exact(answer, gold):
    golden = [one for one in gold if slow_normalise(one)] or [""]
    return 1.0 if any(slow_normalise(answer) == slow_normalise(one) for one in golden) else 0.0


def test_odd_answers_score_as_a_slow_reading_of_the_definition_has_it():
    seen = set()
    for answer, one in itertools.product(ODD, repeat=2):
        for gold in ([], [one], [one, "apple the pie"], ["the", one]):
            assert exact(answer, gold) == slow_exact(answer, gold), (answer, gold)
            assert f1(answer, gold) == pytest.approx(slow_f1(answer, gold)), (answer, gold)
            seen.add(round(f1(answer, gold), 3))
    assert len(seen) > 4


def test_answers_by_hand():
    assert normalise("  The U.S.A., and A theatre! ") == "usa and theatre"
    assert exact("the Eiffel Tower.", ["Eiffel tower"]) == 1
    assert f1("in the year 1999", ["1999", "in 1999"]) == pytest.approx(2 * 2 / (3 + 2))
    assert exact("", []) == f1("", []) == 1 and exact("x", []) == f1("x", []) == 0
    assert f1("pie", ["pie pie"]) == pytest.approx(2 / 3)


def test_numbers_of_a_split_are_means_and_those_of_its_two_kinds_of_questions():
    answers, gold = ["Rome", "in Rome", "", "x"], [["Rome"], ["Rome"], [], []]
    found = summary(scores(answers, gold), gold)
    assert found["exact"] == 0.5 and found["f1"] == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert found["exact/answerable"] == 0.5 and found["exact/unanswerable"] == 0.5
    assert found["f1/answerable"] == pytest.approx(5 / 6) and found["f1/unanswerable"] == 0.5
    assert found["f1/low"] <= found["f1"] <= found["f1/high"]
    assert "exact/answerable" not in summary(scores(answers[:2], gold[:2]), gold[:2])


def test_the_best_threshold_is_that_of_trying_all():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 8))
        gold = [[] if rng.random() < 0.5 else ["Rome"] for _ in range(count)]
        answers = [str(rng.choice(["Rome", "in Rome", "Paris"])) for _ in range(count)]
        odds = rng.integers(-2, 3, count).astype(float)

        def under(threshold):
            given = ["" if o > threshold else a for a, o in zip(answers, odds, strict=True)]  # noqa: B023
            return np.mean([f1(*pair) for pair in zip(given, gold, strict=True)])  # noqa: B023

        best, threshold = best_threshold(answers, gold, odds.tolist())
        assert best == pytest.approx(max(map(under, np.arange(-3.5, 4))))
        assert under(threshold) == pytest.approx(best)


def test_an_interval_is_that_of_the_normal_distribution_where_there_are_many():
    values = np.random.default_rng(0).random(2000) < 0.8
    low, high = bootstrap(values, seed=1, samples=2000)
    width = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - width, abs=0.003)
    assert high == pytest.approx(values.mean() + width, abs=0.003)
    assert bootstrap(values, seed=1) == bootstrap(values, seed=1) != bootstrap(values, seed=2)
    assert bootstrap(np.ones(5)) == (1.0, 1.0)
