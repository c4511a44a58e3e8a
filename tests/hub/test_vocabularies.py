"""Folders with the files of before tokenizer.json: the ids that `transformers` reads from them."""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import tokenizers

from bigmodel_jax.data.tokenizers import raw
from bigmodel_jax.errors import UserError
from bigmodel_jax.hub import vocabularies
from bigmodel_jax.hub.importing import bring
from tests.hub.test_bad_input import SETTINGS, arrays_of, save
from tests.hub.test_texts import LINES, odd

transformers = pytest.importorskip("transformers")

ODD = [
    *odd(600), *LINES, "x" * 300, " \t\n ", "", "MASK [MASK] <mask> </s>  <s>tight[SEP]tight<pad>",
    "a <|endoftext|>b", "ask <new> me<new>, <New>", "don't DON'T we'll  \u00a0nb\u200bsp\n\n\nend ",
]  # fmt: skip
MASK = {
    "__type": "AddedToken",
    "content": "<mask>",
    "lstrip": True,
    "normalized": False,
    "special": True,
}
FOLDERS = {
    "bert": ("bert", {}),
    "bert, cased": ("bert", {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False}),
    "bert, accents": ("bert", {"strip_accents": False, "tokenize_chinese_chars": False}),
    "distilbert": ("distilbert", {"tokenizer_class": "DistilBertTokenizer"}),
    "bert, more tokens": (
        "bert",
        {
            "added_tokens_decoder": {
                "3": {"content": "[MASK]", "lstrip": True, "normalized": False, "special": True},
                "100": {"content": "<new>", "normalized": True, "special": False},
            },
            "additional_special_tokens": ["<s>"],
        },
    ),
    "gpt2": ("gpt2", {}),
    "gpt2, spaced, with padding": ("gpt2", {"add_prefix_space": True, "pad_token": "<pad>"}),
    "roberta": ("roberta", {}),
    "roberta, as it was published": ("roberta", {"mask_token": MASK, "add_prefix_space": True}),
}


def write(folder, kind, settings):
    """A vocabulary of LINES in the files of a kind."""
    if kind in ("bert", "distilbert"):
        special = ["[PAD]", "[UNK]", "[CLS]", "[MASK]", "[SEP]"]  # other ids than the usual ones
        lower = settings.get("do_lower_case", True)
        made = tokenizers.BertWordPieceTokenizer(lowercase=lower)
        made.train_from_iterator(
            LINES, vocab_size=100, special_tokens=special, show_progress=False, min_frequency=1
        )
    else:
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        special = special if kind == "roberta" else ["<|endoftext|>"]
        made = tokenizers.ByteLevelBPETokenizer()
        made.train_from_iterator(
            LINES, vocab_size=330, special_tokens=special, show_progress=False, min_frequency=1
        )
    folder.mkdir(exist_ok=True)
    made.save_model(str(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("name", FOLDERS)
def test_the_ids_are_those_that_transformers_reads(name, tmp_path):
    kind, settings = FOLDERS[name]
    write(tmp_path / "theirs", kind, settings)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    ours = raw.Tokenizer()
    ours.take(vocabularies.read(tmp_path / "theirs", kind))
    want = theirs(ODD, add_special_tokens=False)["input_ids"]
    for line, ids, expected in zip(ODD, ours.encode_batch(ODD), want, strict=True):
        assert ids.tolist() == expected, line
    before, between, after = ours.template() or ((), (), ())
    first, second = (ours.encode(line).tolist() for line in LINES[:2])
    assert theirs(LINES[0])["input_ids"] == [*before, *first, *after]
    assert theirs(*LINES[:2])["input_ids"] == [*before, *first, *between, *second, *after]
    assert ours.special == set(theirs.all_special_ids) and ours.vocabulary_size == len(theirs)
    assert ours.decode(first) == theirs.decode(first, clean_up_tokenization_spaces=False)
    # What the run keeps is a tokenizer.json that reads the same.
    ours.save(tmp_path)
    again = raw.Tokenizer()
    again.load(tmp_path)
    assert [x.tolist() for x in again.encode_batch(ODD)] == want
    assert again.template() == ours.template()


def test_an_import_makes_a_tokenizer_json_of_them(tmp_path):
    settings = {**SETTINGS, "vocab_size": 128}
    write(tmp_path / "theirs", "bert", {"do_lower_case": False})
    save(tmp_path / "theirs", settings, arrays_of(settings))
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    ours = raw.Tokenizer(path=str(tmp_path / "run" / "assets" / "tokenizer.json"))
    ours.train(())
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    assert ours.encode(LINES[0]).tolist() == theirs(LINES[0])["input_ids"][1:-1]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["tokenizer"]["path"] == str(
        tmp_path / "run" / "assets" / "tokenizer.json"
    )


def test_what_is_no_such_folder_is_not_guessed(tmp_path):
    write(tmp_path, "bert", {"tokenizer_class": "BertJapaneseTokenizer"})
    assert vocabularies.read(tmp_path, "bert") is None
    write(tmp_path, "gpt2", {"add_bos_token": True})
    assert vocabularies.read(tmp_path, "gpt2") is None
    write(tmp_path, "bert", {})
    assert vocabularies.read(tmp_path, "t5") is None


@pytest.mark.parametrize(
    "file, content, complaint",
    [
        ("vocab.txt", "a\nb\n", "vocab.txt are no vocabulary: there is no \\[UNK\\]"),
        ("vocab.txt", b"\xff\xfe", "vocab.txt are no vocabulary"),
        ("tokenizer_config.json", "{", "tokenizer_config.json is not JSON"),
        ("special_tokens_map.json", "[]", "special_tokens_map.json is not an object"),
        ("added_tokens.json", '{"<new>": 9}', "'<new>' is to have the id 9, and has 1"),
    ],
)
def test_a_damaged_file_is_named(file, content, complaint, tmp_path):
    write(tmp_path, "bert", {})
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=complaint):
        vocabularies.read(tmp_path, "bert")
