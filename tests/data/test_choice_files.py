"""Questions with several choices from files: columns or lists, of any number, cut to a length."""

import hashlib
import json

import numpy as np
import pytest

from bigmodel_jax.data.choices import Source
from bigmodel_jax.data.readers import synthetic_endings
from bigmodel_jax.errors import UserError

TOKENIZER = dict(name="raw", kind="wordpiece", vocabulary_size=300)
SWAG = dict(
    context_column="sent1",
    question_column="sent2",
    choice_columns=tuple(f"ending{i}" for i in range(4)),
)


def source(folder, **changes):
    options = dict(path=str(folder), tokenizer=TOKENIZER, max_length=48, batch_size=8)
    return Source(**{**options, **changes})


@pytest.fixture
def folder(tmp_path):
    synthetic_endings.write(str(tmp_path / "endings"), train_size=60, test_size=20)
    return tmp_path / "endings"


def test_files_hold_what_their_generator_said(folder):
    made = source(folder, **SWAG)
    reader = dict(name="synthetic_endings", train_size=60, test_size=20)
    generated = source(folder, path=None, reader=reader)
    for step in range(made.steps_per_epoch):
        for key, value in made.batch(step).items():
            np.testing.assert_array_equal(value, generated.batch(step)[key])


def test_each_choice_is_a_pair_with_its_context(folder):
    made = source(folder, split="test", training=False, **SWAG)
    items = list(synthetic_endings.Reader(train_size=60, test_size=20).examples("test"))
    seen, numbers = [], set()
    for step in range(made.steps_per_epoch):
        batch = made.batch(step)
        for row, index in enumerate(made.rows(step)):
            assert batch["valid"][row] == (index >= 0)
            if index < 0:
                assert not batch["real"][row].any() and not batch["tokens"][row].any()
                continue
            item = items[index]
            assert batch["label"][row] == item["label"] == made.labels[index]
            assert batch["real"][row].sum() == len(item["choices"])
            for i, choice in enumerate(item["choices"]):
                texts = item["context"], f"{item['question']} {choice}"
                first, second = map(made.tokenizer.encode, texts)
                expected = [2, *first, 2, *second, 2]  # 2 is the separator
                assert batch["tokens"][row, i][batch["mask"][row, i]].tolist() == expected
                assert batch["types"][row, i].sum() == len(second) + 1
            seen.append(int(index))
            numbers.add(len(item["choices"]))
    assert sorted(seen) == list(range(20)) and numbers == {2, 3, 4}
    context = items[3]["context"]
    assert made.texts([3])[0].startswith(f"{context} ||| {items[3]['question']} ")


def test_lists_and_letters_as_in_race(tmp_path):
    lines = [
        {"article": f"Text {i}.", "question": "Which?", "options": ["a", "b", "c"], "answer": "ABC"[i % 3]}
        for i in range(12)
    ]  # fmt: skip
    (tmp_path / "race.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = dict(context_column="article", question_column="question", label_column="answer")
    made = source(
        tmp_path / "race.jsonl",
        choice_columns=("options",),
        splits=dict(train="train"),
        training=False,
        **columns,
    )
    assert made.labels.tolist() == [0, 1, 2] * 4 and made.batch(0)["tokens"].shape[1] == 3


def test_the_longer_text_is_cut_first(tmp_path):
    long, line = "one two " * 30, {"choices": ["x", "three four " * 30], "label": 0}
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps({"context": long, **line}) + "\n" for _ in range(10)))
    tokenizer = dict(name="raw", kind="wordpiece", vocabulary_size=60)
    made = source(file, tokenizer=tokenizer, max_length=24, training=False)
    (short, long), types = made.batch(0)["mask"][0].sum(-1), made.batch(0)["types"][0]
    assert short == long == 24
    assert types[0].sum() == 2 and types[1].sum() == 11 + 1  # of 21 places the first text has 10


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(label=4), "the label '4' is none of its 2 choices: it is a number from 0 to 1"),
        (dict(label="C"), "letter from A to B"),
        (dict(label=""), "the label '' is none"),
        (dict(choices=["a"]), "has 1 choices: there must be two"),
        (dict(choices="ab"), "the choices are a list, not 'ab'"),
        (dict(choices=["a", " "]), "a choice is a text, not ' '"),
        (dict(choices=["a", 7]), "a choice is a text, not 7"),
        (dict(context=""), "a context is a text, not ''"),
        (dict(context="a\ud800"), "half of a character"),
        (dict(choices=None), "line 2: 'choices' is null"),
    ],
)
def test_what_is_wrong_in_a_line_is_named_with_it(tmp_path, changes, complaint):
    good = {"context": "It rained.", "choices": ["He got wet.", "He stayed dry."], "label": "B"}
    lines = [good, {**good, **changes}, *[good] * 10]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=complaint):
        source(tmp_path / "train.jsonl")


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(path=None), "--config.data.path=FILE_OR_FOLDER"),
        (dict(context_column="sent"), "no column 'sent'.*--config.data.context_column=COLUMN"),
        (dict(max_length=4), "max_length 4 has no room"),
        (dict(tokenizer=dict(name="words")), "'words' does not say which characters"),
    ],
)
def test_what_a_user_can_get_wrong_is_said(folder, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        source(folder, **{**SWAG, **changes})


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(UserError, match="train.json is none of .csv"):
        source(tmp_path)


def test_the_generated_stories_stay_the_same_until_the_version_says_otherwise():
    found = list(synthetic_endings.Reader().examples("train", range(200)))
    assert synthetic_endings.VERSION == 1
    assert hashlib.sha256(repr(found).encode()).hexdigest()[:16] == "61775973349d4bca"


def test_processes_share_a_batch(folder):
    parts = [source(folder, process=(i, 2), **SWAG).batch(3) for i in range(2)]
    for key, value in source(folder, **SWAG).batch(3).items():
        np.testing.assert_array_equal(value, np.concatenate([part[key] for part in parts]))
