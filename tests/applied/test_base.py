"""Which runs answer texts is known before anything of them is read."""

import json

import pytest

from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.config import DEFAULTS
from bigmodel_jax.errors import UserError
from tests import made_run
from tests.strains import batch_norm


def test_a_run_that_says_nothing_of_texts_is_refused(tmp_path):
    config = {**DEFAULTS, **batch_norm.config()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (
        pytest.raises(UserError, match="batch_norm', which says nothing of texts"),
        load_answers(tmp_path),
    ):
        pass


def test_a_run_on_other_data_than_its_kind_of_answer_knows_is_refused(tmp_path):
    run = made_run.make(tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["model"] |= {"vocabulary_size": 10, "num_classes": 2}
    config |= {"task": {"name": "classify"}, "data": {"name": "tokens"}}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="on the data 'tokens'.*'text'"), load_answers(run):
        pass
