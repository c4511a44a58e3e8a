"""Conversations: the model reads all of each, and learns the answers alone."""

import json

import numpy as np
import pytest

from bigmodel_jax.data.chat import TEMPLATE, Source, encode_chat
from bigmodel_jax.errors import UserError

ASKED = [("What is 2 + 2?", "4"), ("Name a colour.", "Red, or blue.\nGreen!"), ("Hi", "Hello")]
BPE = dict(name="raw", kind="bpe", vocabulary_size=290)


def conversation(asked):
    turns = [
        dict(role=role, content=text)
        for pair in asked
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return [dict(role="system", content="Be brief."), *turns]


CONVERSATIONS = [conversation(ASKED[:n]) for n in (1, 2, 3)] + [
    conversation([pair]) for pair in ASKED
]


@pytest.fixture
def source(tmp_path):
    lines = "".join(json.dumps({"messages": c}) + "\n" for c in CONVERSATIONS * 4)
    (tmp_path / "chat.jsonl").write_text(lines)

    def make(**changes):
        options = dict(path=str(tmp_path / "chat.jsonl"), tokenizer=BPE, length=128, batch_size=2)
        return Source(**{**options, "splits": dict(train="train"), **changes})

    return make


def said(messages):
    return "".join(
        "".join((TEMPLATE[m["role"]][0], m["content"], TEMPLATE[m["role"]][1])) for m in messages
    )


@pytest.mark.parametrize("packing", ["best_fit", "documents"])
def test_every_conversation_is_read_whole_and_its_answers_are_learnt(source, packing):
    made = source(packing=packing)
    texts, answers = [], []
    for step in range(made.steps_per_epoch):
        batch = made.batch(step)
        for row in range(2):
            for segment in range(1, batch["segments"][row].max() + 1):
                inside = batch["segments"][row] == segment
                targets, mask = batch["targets"][row][inside], batch["mask"][row][inside]
                texts.append(made.tokenizer.decode(targets))
                ends = np.flatnonzero(mask & (targets == made.tokenizer.separator))
                pieces = np.split(np.where(mask, targets, -1), ends + 1)
                answers.append([made.tokenizer.decode(p[p >= 0]) for p in pieces if (p >= 0).any()])
                np.testing.assert_array_equal(batch["tokens"][row][inside][1:], targets[:-1])
                assert batch["tokens"][row][inside][0] == made.tokenizer.separator
    expected = [
        (said(c), [m["content"] for m in c if m["role"] == "assistant"]) for c in CONVERSATIONS * 4
    ]
    assert sorted(zip(texts, answers, strict=True)) == sorted(expected)


def test_what_a_model_is_asked_has_the_ids_that_it_learnt_from(source):
    tokenizer = source().tokenizer
    ids, learnt = encode_chat(CONVERSATIONS[0], tokenizer)
    prompt, nothing = encode_chat(CONVERSATIONS[0][:2], tokenizer, answer_next=True)
    assert (
        prompt.tolist() == ids[: len(prompt)].tolist() and learnt[len(prompt)] and not nothing.any()
    )
    assert learnt.sum() == len(tokenizer.encode("4")) + 1


def test_prompts_and_responses_in_columns_are_conversations(source, tmp_path):
    rows = ["question,answer\n", *(f'"{q}","{a}"\n' for q, a in ASKED * 3)]
    (tmp_path / "asked.csv").write_text("".join(rows))
    made = source(
        path=str(tmp_path / "asked.csv"),
        prompt_column="question",
        response_column="answer",
        packing="documents",
        training=False,
    )
    batch = made.batch(0)
    texts = [
        made.tokenizer.decode(t[s > 0])
        for t, s in zip(batch["targets"], batch["segments"], strict=True)
    ]
    texts = {text for text, valid in zip(texts, batch["valid"], strict=True) if valid}
    assert (
        texts and texts <= {f"User: {q}\nAssistant: {a}\n" for q, a in ASKED} and made.examples == 9
    )


def test_processes_share_a_batch_and_seeds_change_the_order(source):
    options = dict(packing="documents")
    parts = [source(**options, process=(i, 2)).batch(3) for i in range(2)]
    for key, value in source(**options).batch(3).items():
        np.testing.assert_array_equal(value, np.concatenate([part[key] for part in parts]))
    assert (source(**options, seed=1).rows(0) != source(**options).rows(0)).any()


def test_long_conversations_lose_their_ends_and_those_without_an_answer_are_not_used(
    source, capsys
):
    made = source(length=24, packing="documents")
    out = capsys.readouterr().out
    assert "lose their ends" in out and made.lengths.max() <= 24
    assert all(
        made.batch(i)["mask"].any(1)[made.batch(i)["valid"]].all()
        for i in range(made.steps_per_epoch)
    )
    with pytest.raises(UserError, match="No conversation of chat.jsonl train has an answer"):
        source(length=5)


@pytest.mark.parametrize(
    "line, complaint",
    [
        ('{"messages": []}', "line 1: messages are a list"),
        ('{"messages": [{"role": "user"}]}', "line 1: messages are a list"),
        ('{"messages": ["hi"]}', "line 1: messages are a list"),
        ('{"messages": [{"role": "usr", "content": "x"}]}', "no role 'usr'. Did you mean 'user'"),
        (
            '{"text": "x"}',
            "line 1 has no 'messages'. There are: text. Name it with --config.data.messages_column",
        ),
        ("{", "line 1 is not JSON"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(source, tmp_path, line, complaint):
    (tmp_path / "chat.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=complaint):
        source()


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(path=None), "--config.data.path=FILE"),
        (dict(packing="concat"), "no config.data.packing 'concat'"),
        (dict(tokenizer=dict(name="words")), "cleans text"),
        (dict(split="val"), "no split 'val'"),
        (dict(batch_size=3, process=(0, 2)), "does not divide over 2 processes"),
        (dict(fingerprint="f" * 20), "is not the data that config.data.fingerprint names"),
    ],
)
def test_what_a_user_can_get_wrong_is_said(source, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        source(**changes)


def test_a_split_by_hash_has_each_conversation_on_one_side(source):
    splits = dict(train="train[hash :60%]", val="train[hash 60%:]")
    made = [source(splits=splits, split=s, training=False, packing="documents") for s in splits]
    sizes = [one.examples for one in made]
    assert sum(sizes) == 4 * len(CONVERSATIONS) and all(size % 4 == 0 for size in sizes)
