"""BLEU, chrF and ROUGE: the libraries' own numbers, of whole texts, with intervals that are right."""

import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import translation_metrics

sacrebleu = pytest.importorskip("sacrebleu")

REFERENCES = [
    f"The {x} dog runs over the {y} field." for x in ("big", "old", "red") for y in "abcdef"
]
ANSWERS = [text.replace("runs", "walks") if i % 3 else text for i, text in enumerate(REFERENCES)]


def test_bleu_and_chrf_are_those_of_sacrebleu_and_say_how_they_were_computed():
    found = translation_metrics.compute(("bleu", "chrf"), ANSWERS, REFERENCES)
    assert found["bleu"].value == sacrebleu.corpus_bleu(ANSWERS, [REFERENCES]).score
    assert found["chrf"].value == sacrebleu.corpus_chrf(ANSWERS, [REFERENCES]).score
    for part in ("nrefs:1", "case:mixed", "tok:13a", "seed:12345", "version:"):
        assert part in found["bleu"].signature
    same = translation_metrics.compute(("bleu",), ANSWERS, REFERENCES)
    assert same["bleu"] == found["bleu"] and 0 < same["bleu"].half < same["bleu"].value


def test_texts_of_which_few_agree_with_anything_have_an_interval_too():
    found = translation_metrics.compute(
        ("chrf",), ["xx", "yy", "a cat"], ["Hund", "Katze", "a cat"]
    )
    assert 0 < found["chrf"].value < 100 and 0 < found["chrf"].half <= 50


def test_rouge_is_the_mean_of_f_measures_with_a_bootstrap_interval():
    pytest.importorskip("rouge_score")
    found = translation_metrics.compute(("rouge",), ANSWERS, REFERENCES)
    values = [100.0 if i % 3 == 0 else 100 * 7 / 8 for i in range(len(REFERENCES))]
    assert found["rouge1"].value == pytest.approx(np.mean(values))
    normal = 1.96 * np.std(values) / len(values) ** 0.5
    assert found["rouge1"].half == pytest.approx(normal, rel=0.15)
    assert found["rouge2"].value < found["rougeL"].value <= found["rouge1"].value


def test_a_line_is_a_sentence_to_rouge_lsum():
    pytest.importorskip("rouge_score")
    found = translation_metrics.compute(("rouge",), ["red fox\nblue hen"], ["blue hen\nred fox"])
    assert found["rougeL"].value == pytest.approx(50)
    assert found["rougeLsum"].value == pytest.approx(100)


def test_answers_are_the_same_as_squad_says():
    found = translation_metrics.compute(("squad",), ["The dog.", "a cat"], ["dog", "A big cat"])
    assert found["exact"].value == 50
    assert found["f1"].value == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_one_text_alone_has_no_interval():
    found = translation_metrics.compute(("bleu", "chrf"), ANSWERS[:1], REFERENCES[:1])
    assert found["bleu"].value == pytest.approx(100) and found["bleu"].half == 0


def test_an_unknown_metric_is_told():
    with pytest.raises(UserError, match="no metric 'blue' of texts. Did you mean 'bleu'"):
        translation_metrics.check(("blue",))
