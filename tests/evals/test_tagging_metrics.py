"""The F1 of entities: an example counted by hand, and the cases in which counting words would err."""

import pytest

from bigmodel_jax.evals.tagging_metrics import compute, entities

NAMES = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def words(text):
    return text.split()


def test_entities_of_a_sentence():
    tags = words("B-PER I-PER O B-LOC B-LOC I-LOC")
    assert entities(tags) == [("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 6)]
    assert entities(words("O O")) == [] == entities([])


def test_an_entity_that_never_began_begins_where_it_goes_on():
    assert entities(words("O I-PER I-PER")) == [("PER", 1, 3)]
    assert entities(words("B-PER I-LOC")) == [("PER", 0, 1), ("LOC", 1, 2)]


def test_an_entity_is_right_with_all_of_its_words_and_its_kind():
    sentences = [
        (words("B-PER I-PER O B-LOC"), words("B-PER I-PER O B-LOC")),  # 2 right
        (words("B-PER I-PER O O"), words("B-PER O O O")),  # too short
        (words("B-LOC O B-PER"), words("B-PER O B-PER")),  # another kind, 1 right
        (words("O O"), words("B-LOC O")),  # there is none
    ]
    found = compute(sentences, NAMES)
    # 5 entities, 6 predicted, 3 of them right; 10 of 13 words.
    assert found["precision"] == pytest.approx(3 / 6)
    assert found["recall"] == pytest.approx(3 / 5)
    assert found["f1"] == pytest.approx(2 * 0.5 * 0.6 / 1.1)
    assert found["accuracy"] == pytest.approx(10 / 13)
    assert found["f1/PER"] == pytest.approx(2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    assert found["f1/LOC"] == pytest.approx(0.5)


def test_tags_that_are_no_entities_have_an_accuracy_only():
    found = compute([(words("NOUN VERB"), words("NOUN NOUN"))], ["NOUN", "VERB"])
    assert found == {"accuracy": 0.5}


def test_nothing_found_is_no_division_by_zero():
    found = compute([(words("B-PER O"), words("O O"))], NAMES)
    assert found["precision"] == found["recall"] == found["f1"] == 0
