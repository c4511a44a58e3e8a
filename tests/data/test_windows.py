"""Windows of long contexts: every token in one at least, and answers the very text they are cut from."""

import itertools
import re

import numpy as np
import pytest
from tokenizers import Tokenizer, processors

from bigmodel_jax.data import pair_rows
from bigmodel_jax.data.rows import Around
from bigmodel_jax.data.tokenizers import published, raw
from bigmodel_jax.data.windows import NOWHERE, Windows
from bigmodel_jax.errors import UserError

CONTEXTS = (
    "The  Normans (Norman: Nourmands) gave\ntheir name to Normandy, a region in France. "
    "In 911 Rollo — “the Walker” — got it; naïve ﬁne 我爱 émigrés were 1,000 in number.",
    "Rome.",
    "  leading and trailing space  ",
)
QUESTIONS = ("In what country is Normandy?", "Who?", "Who is " * 20)
KINDS = (
    dict(kind="bpe", vocabulary_size=300),
    dict(kind="wordpiece", vocabulary_size=150, lowercase=True),
    dict(kind="wordpiece", vocabulary_size=150),
)


def trained(**options):
    tokenizer = raw.Tokenizer(**options)
    tokenizer.train([*CONTEXTS, *QUESTIONS] * 3)
    return tokenizer


def make(tokenizer, texts, max_length=24, stride=5, max_question=8):
    around = pair_rows.around(tokenizer)
    sizes = dict(max_length=max_length, stride=stride, max_question=max_question)
    return Windows(texts, tokenizer, around, **sizes), around


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_what_is_found_of_an_answers_own_tokens_is_the_answer(options):
    tokenizer, context = trained(**options), CONTEXTS[0]
    words = [match.span() for match in re.finditer(r"\S+", context)]
    spans = [(a, b) for (a, _), (_, b) in itertools.product(words, words) if a < b <= a + 25]
    windows, _ = make(tokenizer, [(QUESTIONS[0], context)] * len(spans))
    first, last = windows.places(spans)
    score = np.where(first > 0, 1.0, -1.0)
    found = windows.best(first, last, score, np.zeros(len(first)))
    held = [i for i, span in enumerate(found) if span.score > 0]
    assert len(held) > 20
    for i in held:
        assert found[i].of(context) == context[slice(*spans[i])]
    # A window that has not all of an answer has none of it; one of the answer's length has it all.
    assert ((first == 0) == (last == 0)).all() and (first <= last).all()


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_windows_are_rows_that_cover_a_context_and_overlap(options):
    tokenizer = trained(**options)
    texts = [(q, c) for q in QUESTIONS for c in CONTEXTS]
    windows, around = make(tokenizer, texts)
    batch = windows.batch(np.arange(len(windows.owner)), 24)
    assert (batch["mask"].sum(1) == windows.lengths).all() and windows.lengths.max() <= 24
    for i, (question, context) in enumerate(texts):
        asked = tokenizer.encode(question)[:8]
        covered = []
        for row in np.flatnonzero(windows.owner == i):
            tokens = batch["tokens"][row][batch["mask"][row]]
            head = [*around.before, *asked, *around.between]
            assert tokens[: len(head)].tolist() == head
            assert tokens[-len(around.after) :].tolist() == list(around.after)
            inside = batch["context"][row].copy()
            assert inside[0]  # stands for no answer
            inside[0] = False
            assert (np.flatnonzero(inside) == np.arange(len(head), len(tokens) - 1)).all()
            assert (batch["types"][row] == (inside | (np.arange(24) == len(tokens) - 1))).all()
            part = batch["tokens"][row][inside].tolist()
            start = 5 * len(covered)
            assert part == tokenizer.encode(context)[start : start + len(part)].tolist()
            covered.append((start, start + len(part)))
        assert covered[-1][1] == len(tokenizer.encode(context))
        assert all(b[0] < a[1] for a, b in itertools.pairwise(covered))
    fits = [len(tokenizer.encode(c)) + len(tokenizer.encode(q)[:8]) + 3 <= 24 for q, c in texts]
    assert windows.several == len(texts) - sum(fits) > 0
    assert windows.cut == 3 * sum(len(tokenizer.encode(q)) > 8 for q in QUESTIONS) > 0


def test_a_row_of_padding_holds_nothing():
    windows, _ = make(trained(**KINDS[0]), [(QUESTIONS[1], CONTEXTS[1])])
    batch = windows.batch(np.array([0, -1]), 16)
    assert not any(batch[key][1].any() for key in batch) and batch["mask"][0].any()


def test_the_best_span_is_that_of_the_best_window_and_none_has_the_lowest_score():
    tokenizer, context = trained(**KINDS[0]), CONTEXTS[0]
    windows, _ = make(tokenizer, [("Who?", "Rome."), ("Who?", context), ("Who?", "Rome.")])
    count = len(windows.owner)
    assert count > 5
    head = int(windows._head[0])
    score = np.arange(count, dtype=float)
    score[2], null = 100.0, np.linspace(5, 3, count)
    found = windows.best(np.full(count, head), np.full(count, head), score, null)
    assert [span.score for span in found] == [0.0, 100.0, count - 1.0]
    assert [span.null for span in found] == pytest.approx([5.0, null[-2], 3.0])
    # The second window of the context begins five tokens later.
    pieces = tokenizer.encode_offsets([context])[0][1]
    assert (found[1].start, found[1].stop) == tuple(pieces[5])
    assert found[0].null_probability == pytest.approx(1 / (1 + np.exp(-5.0)))


def test_a_context_without_tokens_has_no_answer():
    windows, _ = make(trained(**KINDS[1]), [("Who?", "")])
    nothing = np.array([10 * NOWHERE])
    (found,) = windows.best(np.zeros(1, int), np.zeros(1, int), nothing, np.zeros(1))
    assert found.of("") == "" and found.null_probability == 1


def test_what_stands_around_a_pair_is_that_of_the_tokenizers_own_template(tmp_path):
    tokenizer = trained(**KINDS[1])
    assert pair_rows.around(tokenizer) == Around((2,), (2,), (2,), True)
    tokenizer.save(tmp_path)
    package = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    package.add_special_tokens(["[CLS]", "[SEP]"])
    ids = [(name, package.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    (_, cls), (_, sep) = ids
    templates = {
        "bert": ("[CLS] $A [SEP] $B:1 [SEP]:1", ((cls,), (sep,), (sep,))),
        "roberta": ("[CLS] $A [SEP] [SEP] $B [SEP]", ((cls,), (sep, sep), (sep,))),
        "t5": ("$A [SEP] $B [SEP]", ((sep,), (sep,), (sep,))),  # nothing to stand for no answer
    }
    for name, (template, expected) in templates.items():
        single = "$A [SEP]" if name == "t5" else "[CLS] $A [SEP]"
        package.post_processor = processors.TemplateProcessing(
            single=single, pair=template, special_tokens=ids
        )
        package.save(str(tmp_path / f"{name}.json"))
        for kind in (raw, published):
            made = kind.Tokenizer(path=str(tmp_path / f"{name}.json"))
            made.train(())
            assert pair_rows.around(made) == Around(*expected, True), name


def test_what_does_not_fit_is_said():
    with pytest.raises(UserError, match="max_length 11 has no room.*at least 12"):
        make(trained(**KINDS[0]), [("a", "b")], max_length=11)
    with pytest.raises(UserError, match="'words' does not say which characters"):
        pair_rows.build_tokenizer(dict(name="words"))
    with pytest.raises(UserError, match="'words' does not say which characters"):
        pair_rows.build_tokenizer(dict(name="saved", path="x", spec=dict(name="words")))
    unigram = raw.Tokenizer(kind="unigram", vocabulary_size=60)
    unigram.train(CONTEXTS)
    with pytest.raises(UserError, match="no token of a separator"):
        pair_rows.around(unigram)
