"""A LoRA run is applied, and merged into plain parameters that answer the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from bigmodel_jax.apply import load_run
from bigmodel_jax.checkpoint import all_steps
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.merge import merge
from bigmodel_jax.train import train
from tests.test_graft import TRAINS_LORA, arrays, config, no_reports  # noqa: F401 - a fixture

TEXTS = ["ash birch cedar", "", "elm fir ash ash", "dogwood fir fir elm cedar birch"]
LORA = dict(name="lora", task=dict(name="classify"), rank=2, target=(r".*/attention/.*/kernel",))
TEST = dict(test=dict(name="classification", split="test", every="end"))
ONE = dict(mesh=dict(data=-1), ema=0.9, evals=TEST)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data_dir):
    """(source, LoRA run that started from it, the same merged), with averages."""
    folder = tmp_path_factory.mktemp("runs")
    source, lora, merged = (str(folder / name) for name in ("source", "lora", "merged"))
    train(config(**ONE), source, data_dir=data_dir)
    start = dict(path=source)
    tuned = config(task=LORA, optimizer=TRAINS_LORA, init_from=start, duration="8 steps", **ONE)
    train(tuned, lora, data_dir=data_dir)
    assert "step 8 of" in merge(lora, merged) and "8 kernels" in merge(lora, merged + "-again")
    return source, lora, merged


def arrays_of(workdir):
    return arrays(Path(workdir), "params", max(all_steps(Path(workdir) / "checkpoints")))


def test_only_what_is_low_rank_and_the_head_have_changed(runs):
    source, lora, _ = map(arrays_of, runs)
    start = arrays(Path(runs[0]), "ema")
    for path, x in lora.items():
        if not path.startswith(("lora/", "head/")):
            np.testing.assert_array_equal(x, start[path], err_msg=path)
    assert np.any(lora["lora/encoder/block_1/attention/out/kernel/b"])
    assert (lora["head/kernel"] != source["head/kernel"]).any()


def test_merged_and_unmerged_answer_the_same(runs, data_dir):
    answers, explained = [], []
    for workdir in runs:
        with load_run(workdir) as run:
            answers.append(run.predict(TEXTS))
            explained.append(run.explain(TEXTS[2]).attribution.values)
    np.testing.assert_allclose(answers[2], answers[1], atol=1e-6)
    np.testing.assert_allclose(explained[2], explained[1], atol=1e-4)
    assert np.abs(answers[1] - answers[0]).max() > 1e-3
    recorded = json.loads((Path(runs[1]) / "results" / "test.json").read_text())["metrics"]
    assert evaluate(runs[1], "test", data_dir)["metrics"] == recorded
    found = evaluate(runs[2], "test", data_dir)["metrics"]
    assert found == pytest.approx(recorded, abs=1e-5)


def test_a_merged_run_is_a_source_like_any_other(runs, tmp_path, data_dir):
    start = dict(path=runs[2])
    train(
        config(init_from=start, duration="2 steps", **ONE), str(tmp_path / "on"), data_dir=data_dir
    )
    with pytest.raises(UserError, match="The source is a LoRA run: .*bigmodel_jax.merge"):
        train(config(init_from=dict(path=runs[1])), str(tmp_path / "no"), data_dir=data_dir)


def test_what_cannot_be_merged_is_named(runs, tmp_path):
    with pytest.raises(UserError, match="no LoRA run: its config.task is 'classify'"):
        merge(runs[0], str(tmp_path / "merged"))
    with pytest.raises(UserError, match="is there already"):
        merge(runs[1], runs[2])
