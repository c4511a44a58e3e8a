"""Published folders that are not what they say: a clear sentence each, and nothing half-written."""

import json
from pathlib import Path

import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.hub import published
from bigmodel_jax.hub.axes import shape
from bigmodel_jax.hub.exporting import publish
from bigmodel_jax.hub.importing import bring
from bigmodel_jax.hub.remote import find
from bigmodel_jax.hub.safetensors import Writer

SETTINGS = {
    "model_type": "bert",
    "architectures": ["BertForMaskedLM"],
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}


def arrays_of(settings=SETTINGS):
    """Random arrays under their names."""
    found = published.find_layout(settings["model_type"])
    head = found.HEADS[settings["architectures"][0]]
    spec = {"name": found.MODEL, **found.OURS, **head.fields}
    spec |= published.settings.read(settings, found.SETTINGS, found.FIXED, found.IGNORED, "")
    shapes = published.our_shapes(spec)
    links = published.layout.links(published.rows(found, head, spec), shapes)
    rng = np.random.default_rng(0)
    sizes = {link.theirs: shape(link.axes, shapes[link.ours[0]].shape) for link in links}
    return {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}


def save(folder, settings=SETTINGS, arrays=None):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    arrays = arrays_of() if arrays is None else arrays
    writer = Writer(
        folder / "model.safetensors", {k: (x.dtype, x.shape) for k, x in arrays.items()}
    )
    writer.write(arrays.values())
    writer.close()
    return folder


def test_an_import_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    save(tmp_path / "theirs")
    (tmp_path / "run").mkdir()  # an empty one may be there
    (tmp_path / "run.unfinished" / "checkpoints").mkdir(parents=True)  # of a killed import
    for name, method in {"manifest.json": "write_text", "config.json": "write_bytes"}.items():
        write = getattr(Path, method)

        def full(path, *given, name=name, write=write):
            if path.name.startswith(name):
                raise OSError(28, "No space left on device")
            return write(path, *given)

        with monkeypatch.context() as patch, pytest.raises((UserError, OSError), match="No space"):
            patch.setattr(Path, method, full)
            bring(tmp_path / "theirs", str(tmp_path / "run"))
        assert {path.name for path in tmp_path.iterdir()} == {"theirs", "run"}
        assert not any((tmp_path / "run").iterdir())
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    assert (tmp_path / "run" / "config.json").is_file()
    assert not (tmp_path / "run.unfinished").exists()


def refused(tmp_path, *words):
    with pytest.raises(UserError) as found:
        bring(tmp_path / "theirs", str(tmp_path / "run"))
    for word in words:
        assert word in str(found.value)
    assert not (tmp_path / "run").exists()


CONFIGS = {
    "of an architecture that we do not know": ({"model_type": "mamba"}, "model_type is 'mamba'"),
    "of no architecture": ({"model_type": None}, "model_type is None"),
    "of a class that we do not know": (
        {"architectures": ["BertForNextSentencePrediction"]},
        "architectures is 'BertForNextSentencePrediction'",
    ),
    "with a setting that we do not know": ({"mixture": 8}, "the setting 'mixture' = 8"),
    "with a value that we cannot follow": (
        {"position_embedding_type": "relative_key"},
        "position_embedding_type is 'relative_key'",
    ),
    "with another activation": ({"hidden_act": "quick_gelu"}, "no hidden_act 'quick_gelu'"),
    "of another size": ({"hidden_size": 16}, "Of another shape than config.json says"),
    "of more layers": ({"num_hidden_layers": 3}, "not in the files (16)", "encoder.layer.2"),
    "of fewer layers": ({"num_hidden_layers": 1}, "with no place in our model (16)"),
    "of heads that do not divide": ({"num_attention_heads": 3}, "does not divide into 3 heads"),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_a_config(what, tmp_path):
    change, *words = CONFIGS[what]
    save(tmp_path / "theirs", {**SETTINGS, **change})
    refused(tmp_path, *words)


def test_a_config_without_a_size(tmp_path):
    save(tmp_path / "theirs", {k: v for k, v in SETTINGS.items() if k != "hidden_size"})
    refused(tmp_path, "does not say 'hidden_size'")


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b'{"model_type": ' + b"[" * 10**5])
def test_a_config_that_is_no_table(content, tmp_path):
    save(tmp_path / "theirs")
    (tmp_path / "theirs" / "config.json").write_bytes(content)
    refused(tmp_path, "config.json is no")


def test_a_missing_tensor_is_named_with_the_nearest(tmp_path):
    arrays = arrays_of()
    arrays["bert.pooler_dense.weight"] = arrays.pop("cls.predictions.bias")
    save(tmp_path / "theirs", arrays=arrays)
    refused(tmp_path, "bert.pooler_dense.weight", "cls.predictions.bias, for mlm/bias")


def test_integers_are_no_parameters(tmp_path):
    arrays = arrays_of()
    arrays["cls.predictions.bias"] = np.zeros(11, np.int32)
    save(tmp_path / "theirs", arrays=arrays)
    refused(tmp_path, "parameters are of int32")


def test_tied_arrays_that_differ(tmp_path):
    arrays = arrays_of()
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"] + 1
    save(tmp_path / "theirs", arrays=arrays)
    refused(tmp_path, "cls.predictions.decoder.weight", "two different arrays")


def test_tied_arrays_that_are_the_same_are_one(tmp_path):
    arrays = arrays_of()
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"]
    save(tmp_path / "theirs", arrays=arrays)
    bring(tmp_path / "theirs", str(tmp_path / "run"))


def test_a_tokenizer_of_another_size(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({f"w{i}": i for i in range(30)}, unk_token="w0")
    save(tmp_path / "theirs")
    tokenizers.Tokenizer(words).save(str(tmp_path / "theirs" / "tokenizer.json"))
    refused(tmp_path, "has 30 tokens, and the model's vocabulary is 11")


def test_a_tokenizer_that_is_none(tmp_path):
    save(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_text("{}")
    refused(tmp_path, "is not a tokenizer.json")


def test_what_is_there_is_not_written_over(tmp_path):
    save(tmp_path / "theirs")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    with pytest.raises(UserError, match="is there already"):
        bring(tmp_path / "theirs", str(tmp_path / "run"))
    publish(str(tmp_path / "run"), str(tmp_path / "ours"))
    with pytest.raises(UserError, match="is there already"):
        publish(str(tmp_path / "run"), str(tmp_path / "ours"))


def test_a_model_that_nobody_publishes_says_how_it_differs(tmp_path):
    save(tmp_path / "theirs")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["model"]["positions"] = "rope"
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match="bert has positions='learned', not 'rope'"):
        publish(str(tmp_path / "run"), str(tmp_path / "ours"))
    assert not list(tmp_path.glob("ours*"))


def test_a_size_of_files_that_is_none(tmp_path):
    save(tmp_path / "theirs")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    with pytest.raises(UserError, match="--max_shard_size is '5 parsecs'"):
        publish(str(tmp_path / "run"), str(tmp_path / "ours"), "5 parsecs")


def test_a_source_that_is_no_folder(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        find(str(tmp_path / "nowhere"))
