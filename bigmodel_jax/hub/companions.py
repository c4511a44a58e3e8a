"""What lies beside published arrays: config.json, the tokenizer and the names of its tokens."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax import rundir
from bigmodel_jax.data import published
from bigmodel_jax.data.encoding import load_labels
from bigmodel_jax.data.token_files import TOKENIZER, kind_of
from bigmodel_jax.data.tokenizers.published import MASKS, SEPARATORS
from bigmodel_jax.hub.importing import KEPT
from bigmodel_jax.hub.target import Target

# Names that a token of each role goes by, where nobody wrote down which it is.
ROLES = {
    "pad": ("[PAD]", "<pad>", "<padding>"),
    "unk": ("[UNK]", "<unk>", "<unknown>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>", "<separator>"),
    "mask": MASKS,
    "bos": ("<s>", "<|begin_of_text|>", "<bos>"),
    "eos": SEPARATORS[1:],
}


def write(part: Path, run: Path, target: Target, kept: Mapping, dtype: str, length: int | None):
    """All files of a folder `part` but the arrays.

    Args:
        run: the directory of the run.
        kept: config.json of what it was imported from, if it was.
        dtype: of the arrays.
        length: of the longest text.
    """
    for name in KEPT[1:]:
        if (file := run / "assets" / "published" / name).is_file():
            shutil.copyfile(file, part / name)
    _preprocessor(part, rundir.read_config(run))
    roles = _tokenizer(part, run, length)
    content: dict[str, Any] = {
        **{
            f"{role}_token_id": i for role, (_, i) in roles.items() if role in ("bos", "eos", "pad")
        },
        **kept,
        **target.settings,
        "model_type": target.name,
        "architectures": [target.architecture],
        "dtype": dtype,
    }
    if (run / "assets" / "labels.json").is_file():
        labels = load_labels(run / "assets")
        content["id2label"] = {str(i): name for i, name in enumerate(labels)}
        content["label2id"] = {name: i for i, name in enumerate(labels)}
    rundir.replace(part / "config.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _preprocessor(part: Path, config: Mapping) -> None:
    """How a run on images brings them to its model: preprocessor_config.json."""
    data = config["data"]
    if data["name"] != "images":
        return
    task = config["task"].get("task", config["task"])
    size = data["image_size"]
    content = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 3,  # bicubic
        "crop_pct": data.get("crop", 1.0),
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": list(task["mean"]),
        "image_std": list(task["std"]),
    }
    rundir.replace(part / "preprocessor_config.json", json.dumps(content, indent=2) + "\n")


def _tokenizer(part: Path, run: Path, length: int | None) -> dict[str, tuple[str, int]]:
    """Writes the tokenizer's files, if the run has one of that kind; (token, id) by role."""
    file = run / "assets" / TOKENIZER
    if not file.is_file():
        return {}
    if kind_of(file) != "raw":
        print(f"NOTE: {file} is a tokenizer of our own kind, which transformers does not read.")
        return {}
    shutil.copyfile(file, part / TOKENIZER)
    ids = published.parse(file.read_bytes(), str(file)).get_vocab(with_added_tokens=True)
    found = {
        role: (name, ids[name])
        for role, names in ROLES.items()
        for name in names[::-1]
        if name in ids
    }
    if not (part / "tokenizer_config.json").is_file():
        content = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length}
        content |= {f"{role}_token": name for role, (name, _) in found.items()}
        rundir.replace(part / "tokenizer_config.json", json.dumps(content, indent=2) + "\n")
    return found
