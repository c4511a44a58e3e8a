"""A tagger from a CoNLL file to its score."""

import json

import numpy as np
import pytest

from bigmodel_jax import config
from bigmodel_jax.models import bert
from bigmodel_jax.train import train


@pytest.mark.slow
def test_a_tagger_learns_which_words_are_names(tmp_path, data_dir):
    """Names are those after "Mr", of one word or two."""
    rng, lines = np.random.default_rng(0), []
    plain, names = ["the", "a", "dog", "ran", "home", "and", "saw"], ["Ann", "Bob", "Cid", "Dee"]
    for _ in range(400):
        for _ in range(rng.integers(1, 4)):
            lines += [f"{word}\tO" for word in rng.choice(plain, rng.integers(1, 4))]
            lines += ["Mr\tO", f"{rng.choice(names)}\tB-PER"]
            lines += [f"{rng.choice(names)}\tI-PER"] if rng.random() < 0.5 else []
        lines.append("")
    file = tmp_path / "train.txt"
    file.write_text("\n".join(lines) + "\n")
    settings = {
        "data": {
            "name": "conll",
            "path": str(file),
            "tokenizer": {"name": "words", "vocabulary_size": 100},
            "max_length": 32,
            "batch_size": 16,
            "splits": {"train": "train[:80%]", "test": "train[80%:]"},
        },
        "model": {
            "name": "bert",
            "head": "tag",
            **bert.VARIANTS["tiny"],
            "norm_first": True,
            "positions": "rope",
        },
        "task": {"name": "tag"},
        "optimizer": {"name": "adam", "lr": 1e-2, "schedule": {"name": "cosine"}},
        "evals": {"test": {"name": "tagging", "split": "test"}},
        "mesh": {"data": 1, "fsdp": -1},
        "rules": {"embed": None},
        "duration": "20 epochs",
    }
    train(config.plain(settings), str(tmp_path / "run"), data_dir=data_dir)
    found = json.loads((tmp_path / "run/results/test.json").read_text())["metrics"]
    assert found["f1"] > 0.95 and found["f1/PER"] == found["f1"]
