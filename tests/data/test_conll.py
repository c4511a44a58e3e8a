"""CoNLL files: each word's first piece has its tag, whatever the tokenizer makes of the word."""

import numpy as np
import pytest

from bigmodel_jax.data import encoding
from bigmodel_jax.data.conll import NO_TAG, Source
from bigmodel_jax.errors import UserError

SENTENCES = [
    [("EU", "B-ORG"), ("rejects", "O"), ("German", "B-MISC"), ("call", "O"), (".", "O")],
    [("Peter", "B-PER"), ("Blackburn", "I-PER")],
    [("New", "B-LOC"), ("York", "I-LOC"), ("Times", "B-ORG"), ("\u200b", "O"), ("saw", "O")],
]
TOKENIZERS = [
    dict(name="raw", kind="bpe", vocabulary_size=270),
    dict(name="raw", kind="wordpiece", vocabulary_size=90),
    dict(name="words", vocabulary_size=50),
    dict(name="characters"),
]


def text(sentences, separator="\t", middle=()):
    lines = [
        "".join(f"{separator.join((word, *middle, tag))}\n" for word, tag in sentence)
        for sentence in sentences
    ]
    return "\n".join(lines)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "train.txt").write_text(text(SENTENCES * 10))
    (tmp_path / "dev.txt").write_text(text(SENTENCES))

    def make(**changes):
        options = dict(path=str(tmp_path), tokenizer=TOKENIZERS[0], max_length=64, batch_size=4)
        return Source(**{**options, **changes})

    return make


def found(made):
    """(pieces of each word, tag) of all sentences of an epoch, by row."""
    rows = {}
    for step in range(made.steps_per_epoch):
        batch = made.batch(step)
        for row, index in enumerate(made.rows(step)):
            assert batch["valid"][row] == (index >= 0)
            words = []
            for token, label in zip(batch["tokens"][row], batch["label"][row], strict=True):
                words += [([], made.label_names[label])] if label >= 0 else []
                if words:
                    words[-1][0].append(token)
            if index >= 0:
                kept = batch["mask"][row].sum()
                assert kept == made.lengths[index] and (batch["label"][row, kept:] == NO_TAG).all()
                rows[int(index)] = words
    return rows


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=str)
def test_every_word_has_its_tag_at_its_first_piece(source, tokenizer):
    made = source(tokenizer=tokenizer, split="val", training=False)
    rows = found(made)
    assert sorted(rows) == [0, 1, 2]
    for row, sentence in enumerate(SENTENCES):
        assert [tag for _, tag in rows[row]] == [tag for _, tag in sentence]
    if tokenizer["name"] in ("raw", "characters") and tokenizer.get("kind") != "wordpiece":
        batch = made.batch(0)
        decoded = [
            made.tokenizer.decode(t[m]) for t, m in zip(batch["tokens"], batch["mask"], strict=True)
        ]
        assert sorted(d for d in decoded if d) == sorted(
            " ".join(w for w, _ in s) for s in SENTENCES
        )


def test_tags_are_named_in_one_order_and_saved(source, tmp_path):
    made = source()
    assert made.label_names == ("O", "B-LOC", "I-LOC", "B-MISC", "B-ORG", "B-PER", "I-PER")
    made.save_assets(tmp_path / "assets")
    assert encoding.load_labels(tmp_path / "assets") == made.label_names
    assert made.info["num_classes"] == 7 and made.examples == 27  # a tenth is test


def test_an_epoch_has_each_sentence_once_and_processes_share_it(source):
    made = source()
    rows = np.concatenate([made.rows(i) for i in range(made.steps_per_epoch)])
    assert sorted(rows[rows >= 0]) == list(range(made.examples))
    parts = [source(process=(i, 2)).batch(3) for i in range(2)]
    for key, value in source().batch(3).items():
        np.testing.assert_array_equal(value, np.concatenate([part[key] for part in parts]))


def test_long_sentences_are_cut_between_words_and_no_word_is_lost(source, capsys):
    made = source(tokenizer=dict(name="characters"), max_length=12, split="val", training=False)
    tags = [tag for _, words in sorted(found(made).items()) for _, tag in words]
    assert tags == [tag for sentence in SENTENCES for _, tag in sentence]
    assert made.lengths.max() <= 12
    assert "sentences are longer than max_length 12" in capsys.readouterr().out


def test_files_of_conll_2003_with_four_columns_and_documents_are_read(tmp_path):
    content = "-DOCSTART- -X- -X- O\n\n" + text(SENTENCES, " ", ("NN", "B-NP")) + "\r\n\r\n\n"
    (tmp_path / "all.conll").write_text(content)
    made = Source(
        path=str(tmp_path / "all.conll"),
        tokenizer=TOKENIZERS[0],
        max_length=64,
        batch_size=1,
        splits=dict(train="train"),
        training=False,
    )
    assert [tag for _, tag in found(made)[0]] == [tag for _, tag in SENTENCES[0]]


@pytest.mark.parametrize(
    "content, complaint",
    [
        ("EU\tB-ORG\nalone\n", "train.txt line 2 holds no token and tag, but 'alone'"),
        ("a\tO\n\nb\tI-PER\n", r"line 3: 'I-PER' follows 'O', which is not IOB2"),
        ("a\tB-LOC\nb\tI-PER\n", r"line 2: 'I-PER' follows 'B-LOC', which is not IOB2"),
        ("a\tO\nb\tO\n", "All words of .* have the tag 'O'"),
        (b"a\tB-X\n\xff\tO\n", "train.txt line 2 is not UTF-8"),
        ("a\tB-LOC\nb\tO\n", "dev.txt line 1: the tag 'B-ORG' .* not among those of the training"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(source, tmp_path, content, complaint):
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        source(split="val", training=False)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(path=None), "--config.data.path=FILE_OR_FOLDER"),
        (dict(split="vla"), "no split 'vla'. Did you mean 'val'"),
        (dict(batch_size=3, process=(0, 2)), "does not divide over 2 processes"),
        (dict(fingerprint="f" * 20), "is not the data that config.data.fingerprint names"),
        (dict(token_column=7), "holds no token and tag"),
    ],
)
def test_what_a_user_can_get_wrong_is_said(source, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        source(**changes)


def test_a_split_by_hash_has_each_sentence_on_one_side(source, tmp_path):
    distinct = [[(f"No{i}", "B-LOC"), ("is", "O")] for i in range(20)]
    (tmp_path / "train.txt").write_text(text(distinct * 2))
    splits = dict(train="train[hash :60%]", val="train[hash 60%:]")
    sizes = [source(splits=splits, split=split, training=False).examples for split in splits]
    assert sum(sizes) == 40 and min(sizes) > 0 and all(size % 2 == 0 for size in sizes)
