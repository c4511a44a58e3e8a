"""Questions from files: SQuAD's layout and lines, and all that can be wrong in them."""

import gzip
import hashlib
import json

import numpy as np
import pytest

from bigmodel_jax.data import questions
from bigmodel_jax.data.answers import Source
from bigmodel_jax.data.questions import Answer
from bigmodel_jax.data.readers import synthetic_facts
from bigmodel_jax.errors import UserError

CONTEXT = "Rollo came to Normandy in 911."
TOKENIZER = dict(name="raw", kind="wordpiece", vocabulary_size=200)


def qa(number, text="911", start=26, **more):
    answers = [] if text is None else [{"text": text, "answer_start": start}]
    return {"id": str(number), "question": "When was it?", "answers": answers, **more}


def squad(*qas, context=CONTEXT):
    return {"version": "1.1", "data": [{"paragraphs": [{"context": context, "qas": list(qas)}]}]}


def source(folder, **changes):
    sizes = dict(max_length=48, stride=8, max_question=12, batch_size=4)
    return Source(**{**dict(path=str(folder), tokenizer=TOKENIZER, **sizes), **changes})


@pytest.fixture
def folder(tmp_path):
    facts = dict(train_size=20, test_size=4, unanswerable=0.3)
    synthetic_facts.write(str(tmp_path / "facts"), **facts)
    return tmp_path / "facts"


def test_both_layouts_are_read_alike(tmp_path):
    asked = [qa(1), qa(2, "Rollo", 0), qa(3, None, is_impossible=True)]
    (tmp_path / "train-v2.0.json").write_text("\ufeff" + json.dumps(squad(*asked)))
    nested = questions.read(tmp_path / "train-v2.0.json")
    lines = []
    for i, one in enumerate(asked):
        answers = one["answers"]
        if i % 2 == 0:  # as tables of columns have it
            answers = {key: [a[key] for a in answers] for key in ("text", "answer_start")}
        lines.append(json.dumps({**one, "context": CONTEXT, "answers": answers}))
    with gzip.open(tmp_path / "train.jsonl.gz", "wt") as file:
        file.write("\n".join(lines) + "\n\n")
    flat = questions.read(tmp_path / "train.jsonl.gz")
    assert [q[:4] for q in nested] == [q[:4] for q in flat]
    assert nested[1].answers == (Answer("Rollo", 0),) and nested[2].answers == ()
    assert nested[2].place.endswith("train-v2.0.json data[0].paragraphs[0].qas[2]")
    assert flat[2].place.endswith("train.jsonl.gz line 3")


def test_a_place_that_is_off_by_a_character_or_two_is_mended(tmp_path):
    file = tmp_path / "train.json"
    file.write_text(json.dumps(squad(qa(1, start=24), qa(2, start=27))))
    assert {q.answers for q in questions.read(file)} == {(Answer("911", 26),)}


@pytest.mark.parametrize(
    "content, complaint",
    [
        ("", "train.json is empty"),
        ("{", "train.json is not JSON"),
        ('{"a": 1}\n{"a": 2}\n', "an object a line is called .jsonl"),
        ([], "train.json has no list 'data'"),
        ({"data": []}, "train.json holds no questions"),
        ({"data": [{}]}, r"data\[0\] has no list 'paragraphs'"),
        (squad(qa(1), context=7), r"qas\[0\] has no context"),
        (squad({**qa(1), "id": None}), r"qas\[0\] has no id: it is a string, not None"),
        (squad({**qa(1), "id": 7}), r"has no id: it is a string, not 7"),
        (squad({**qa(1), "question": " "}), "has no question"),
        (squad({**qa(1), "question": "a\ud800"}), "question holds half of a character"),
        (squad({"id": "1", "question": "When?"}), "has no answers: they are a list, not None"),
        (squad(7), "is not a JSON object"),
        (squad(qa(1), qa(1)), r"qas\[1\]: the id '1' is that of .*qas\[0\], too"),
        (squad(qa(1, "1066")), r"answers\[0\]: at character 26 of its context stands '911.'"),
        (squad(qa(1, start=99)), "at character 99 of its context stands ''"),
        (squad(qa(1, start=-3)), "at character -3 of its context stands ''"),
        (squad(qa(1, start="26")), "with a text and a whole number"),
        (squad(qa(1, "")), "with a text and a whole number"),
        (squad(qa(1, is_impossible=True)), "has 1 answers, but its is_impossible is true"),
        (squad(qa(1, None, is_impossible=False)), "has 0 answers, but its is_impossible is false"),
        (squad({**qa(1), "answers": {"text": ["a"], "answer_start": []}}), "not as many texts as"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(tmp_path, content, complaint):
    file = tmp_path / "train.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=complaint):
        questions.read(file)


def test_a_line_that_is_no_question_is_named(tmp_path):
    file = tmp_path / "train.jsonl"
    for line, complaint in (("[1]", "line 2 is not a JSON object"), ("{", "line 2 is not JSON")):
        file.write_text(json.dumps({**qa(1), "context": CONTEXT}) + f"\n{line}\n")
        with pytest.raises(UserError, match=complaint):
            questions.read(file)


def test_files_are_found_by_their_names_or_by_keys(tmp_path):
    def found(files=(), path=tmp_path):
        names = questions.find(str(path), dict(files))
        return {split: [file.name for file in files] for split, files in names.items()}

    with pytest.raises(UserError, match="holds no file like train-v1.1.json, but no .json"):
        found()
    for name in ("train-v1.1.json", "dev-v1.1.json", "notes.txt", "other.json"):
        (tmp_path / name).write_text("{}")
    assert found() == {"train": ["train-v1.1.json"], "test": ["dev-v1.1.json"]}
    assert found(path=tmp_path / "other.json") == {"train": ["other.json"]}
    (tmp_path / "test.jsonl.gz").write_text("")
    assert set(found()) == {"train", "validation", "test"}
    (tmp_path / "train-v2.0.json").write_text("{}")
    with pytest.raises(UserError, match="would be the train split.*config.data.files.train=FILE"):
        found()
    keys = {"train": "train-v2.0.json", "dev": "other.json", "test": None}
    assert found(keys) == {"train": ["train-v2.0.json"], "test": ["other.json"]}
    for keys, complaint in (
        ({"train": "none.json"}, "files.train: there is no file"),
        ({"dev": "other.json"}, "names no train"),
        ({"trian": "other.json"}, "Did you mean 'train'"),
    ):
        with pytest.raises(UserError, match=complaint):
            found(keys)
    with pytest.raises(UserError, match="There is no file or folder"):
        found(path=tmp_path / "nowhere")


def test_files_hold_what_their_generator_said(folder):
    made = source(folder)
    reader = dict(name="synthetic_facts", train_size=20, test_size=4, unanswerable=0.3)
    generated = source(folder, path=None, reader=reader)
    assert generated.synthetic and not made.synthetic
    for step in range(made.steps_per_epoch):
        for key, value in made.batch(step).items():
            np.testing.assert_array_equal(value, generated.batch(step)[key])
    assert made.info["unanswerable"] and made.examples > 57  # of 60 questions, 3 are validation


def test_a_rows_answer_is_where_its_tokens_say(folder):
    made = source(folder, split="test", training=False)
    seen, answered = set(), set()
    for step in range(made.steps_per_epoch):
        batch = made.batch(step)
        for row, window in enumerate(made.rows(step)):
            first, last = batch["start"][row], batch["end"][row]
            asked = made.questions[made.windows.owner[window]] if window >= 0 else None
            assert batch["valid"][row] == (window >= 0)
            assert asked is not None or not (first or last or batch["context"][row].any())
            if asked is not None:
                seen.add(asked.id)
                assert batch["context"][row][[first, last]].all()
            if first:
                answered.add(asked.id)
                ids = batch["tokens"][row][first : last + 1]
                assert ids.tolist() == made.tokenizer.encode(asked.answers[0].text).tolist()
    assert seen == {asked.id for asked in made.questions} and len(made.questions) == 12
    assert answered == {asked.id for asked in made.questions if asked.answers}


def test_an_epoch_has_each_window_once_and_processes_share_it(folder):
    made = source(folder)
    rows = np.concatenate([made.rows(i) for i in range(made.steps_per_epoch)])
    assert sorted(rows[rows >= 0]) == list(range(made.examples))
    parts = [source(folder, process=(i, 2)).batch(3) for i in range(2)]
    for key, value in made.batch(3).items():
        np.testing.assert_array_equal(value, np.concatenate([part[key] for part in parts]))


def test_a_split_by_hash_keeps_a_contexts_questions_together(folder):
    splits = dict(train="train[hash :60%]", val="train[hash 60%:]", test="test")
    sides = [
        {asked.context for asked in source(folder, splits=splits, split=split).questions}
        for split in ("train", "val")
    ]
    assert len(sides[0] | sides[1]) == 20 and not sides[0] & sides[1]


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(path=None), "--config.data.path=FILE_OR_FOLDER"),
        (dict(split="vla"), "no split 'vla'. Did you mean 'val'"),
        (dict(batch_size=3, process=(0, 2)), "does not divide over 2 processes"),
        (dict(fingerprint="f" * 20), "is not the data that config.data.fingerprint names"),
        (dict(tokenizer=dict(name="subword")), "'subword' does not say which characters"),
        (dict(max_question=60), "has no room"),
    ],
)
def test_what_a_user_can_get_wrong_is_said(folder, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        source(folder, **changes)


def test_the_generated_paragraphs_stay_the_same_and_hold_their_answers():
    reader = synthetic_facts.Reader(train_size=200, unanswerable=0.5)
    found = list(reader.examples("train"))
    assert list(reader.examples("train", [3])) == [found[3]]
    asked = [
        one for i, item in enumerate(found) for one in questions.paragraph(f"number {i}", item)
    ]
    questions.check_ids(asked)
    none = np.mean([not one.answers for one in asked])
    assert 0.4 < none < 0.6 and synthetic_facts.VERSION == 1
    assert hashlib.sha256(repr(found).encode()).hexdigest()[:16] == "ca27437644d16594"
