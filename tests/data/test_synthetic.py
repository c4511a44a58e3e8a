"""synthetic_reviews: the Bayes accuracy is what it says, and a bag of words does not reach it."""

import hashlib
import re
import time

import numpy as np
import pytest

from bigmodel_jax.data.readers import synthetic_reviews
from bigmodel_jax.data.readers.synthetic_reviews import ADJECTIVES, ASPECTS, PEOPLE, VERBS, Reader
from bigmodel_jax.errors import UserError

VALUE = {word: sign for sign in (0, 1) for word in ADJECTIVES[sign]}
VALUE |= {form: sign for sign in (0, 1) for pair in VERBS[sign] for form in pair}
NEGATION = re.compile(r"\b(not|never|hardly|far from|nobody)\b")


def clause_value(clause: str) -> int | None:
    """The author's verdict in one clause; None where another speaks or none judges."""
    if any(clause.lower().startswith(who) for who in PEOPLE):
        return None
    clause = re.sub("|".join(map(re.escape, ASPECTS)), "it", clause)
    values = [VALUE[w] for w in re.findall(r"[a-z]+", clause.lower()) if w in VALUE]
    return values[0] ^ bool(NEGATION.search(clause.lower())) if values else None


def true_label(text: str) -> int:
    """Reads a review as a person would: the oracle, written apart from the generator."""
    votes = []
    for sentence in text.rstrip(".").split(". "):
        if match := re.fullmatch(r".*, but (.*)|Although .*?, (.*)|(.*), even though .*", sentence):
            sentence = next(filter(None, match.groups()))
        clauses = re.split(r", while |, ", sentence)
        votes += [v for v in map(clause_value, clauses) if v is not None]
    assert len(votes) in (1, 3, 5), text
    return int(sum(votes) * 2 > len(votes))


def test_the_oracle_reads_as_we_do():
    assert true_label("The plot was not dull.") == 1
    assert true_label("My brother hated the ending, I loved the plot.") == 1
    assert true_label("The plot was superb, but I did not enjoy the pacing.") == 0
    assert true_label("Although the plot was dull, nobody could call the cast weak.") == 1
    assert true_label("The plot was weak, even though the cast was far from boring.") == 0


def test_without_noise_the_text_determines_every_label():
    reader = Reader(train_size=3000, seed=3, noise=0.0)
    assert reader.bayes_accuracy == 1
    assert all(true_label(e["text"]) == e["label"] for e in reader.examples("train"))


def test_the_oracle_reaches_the_bayes_accuracy():
    reader = Reader(train_size=4000, noise=0.1)
    assert reader.bayes_accuracy == 0.9
    right = np.mean([true_label(e["text"]) == e["label"] for e in reader.examples("train")])
    assert abs(right - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 4000)
    assert 0.47 < np.mean([e["label"] for e in reader.examples("train")]) < 0.53


def test_a_bag_of_words_stays_below_it():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    from sklearn.linear_model import LogisticRegression

    reader = Reader(train_size=4000, test_size=1000)
    train, test = list(reader.examples("train")), list(reader.examples("test"))
    words = text.CountVectorizer()
    model = LogisticRegression(C=0.1, max_iter=200)
    model.fit(words.fit_transform(e["text"] for e in train), [e["label"] for e in train])
    accuracy = model.score(
        words.transform(e["text"] for e in test), np.array([e["label"] for e in test])
    )
    assert accuracy < 0.65 < reader.bayes_accuracy


def test_an_example_is_a_function_of_seed_split_and_index():
    small, large = Reader(train_size=10), Reader(train_size=1000)
    assert list(small.examples("train")) == list(large.examples("train", range(10)))
    assert list(large.examples("train", [7, 3])) == [
        list(small.examples("train"))[i] for i in (7, 3)
    ]
    assert next(small.examples("train")) != next(small.examples("test"))
    assert next(small.examples("train")) != next(Reader(seed=1).examples("train"))
    texts = [e["text"] for split in ("train", "test") for e in Reader().examples(split)]
    assert len(set(texts)) > 0.99 * len(texts)


def test_the_text_stays_the_same_until_the_version_says_otherwise():
    examples = list(Reader(seed=5).examples("train", range(200)))
    assert synthetic_reviews.VERSION == 1
    assert hashlib.sha256(repr(examples).encode()).hexdigest() == (
        "044b6c02314aba3460e943b3134dbb49533824f11f7484ef179a152021f9a0de"
    )


def test_lengths_and_speed():
    start = time.perf_counter()
    lengths = [len(e["text"].split()) for e in Reader(train_size=20_000).examples("train")]
    assert time.perf_counter() - start < 10  # 0.5 s here
    assert np.percentile(lengths, 5) >= 20 and max(lengths) <= 160 and 50 < np.median(lengths) < 80


def test_fingerprints_differ_where_the_data_do():
    readers = [Reader(), Reader(seed=1), Reader(noise=0.1), Reader(train_size=5)]
    assert len({r.fingerprint() for r in readers}) == 4
    assert Reader().fingerprint() == Reader().fingerprint() and Reader.synthetic


def test_senseless_arguments():
    for size, noise in ((10, 0.5), (0, 0.1), (-1, 0.1)):
        with pytest.raises(UserError, match="synthetic_reviews needs"):
            Reader(train_size=size, noise=noise)
    with pytest.raises(UserError, match="no split 'validation'. There are: test, train"):
        next(Reader().examples("validation"))
