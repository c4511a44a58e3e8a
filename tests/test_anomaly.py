"""A run that tells what is odd: nothing is learnt of the anomaly, scores and their AUC are as defined."""

import json

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from bigmodel_jax import predict
from bigmodel_jax.apply import load
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import autoencoder
from bigmodel_jax.tasks import anomaly
from bigmodel_jax.train import train
from configs import mnist_anomaly


def test_the_loss_sees_neither_the_anomaly_nor_padding_and_the_score_is_the_mean_squared_error():
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (4, 8, 8, 1), np.uint8),
        "label": np.array([0, 2, 1, 1], np.int32),
        "valid": np.array([True, True, True, False]),
    }
    task = anomaly.Task(autoencoder.Model(hidden=(6,), code=2), anomaly=2)
    variables = task.init(jax.random.key(0), batch)
    exact = batch["image"] / np.float32(255)
    painted = np.asarray(task.model.apply(variables, exact))
    wanted = np.square(painted - exact).mean((1, 2, 3))
    np.testing.assert_allclose(task.predict(variables, batch)["values"], wanted, rtol=1e-5)
    loss, _ = task.loss(variables, batch, jax.random.key(0), train=True)
    assert loss.weight == 2 and float(loss.total) == pytest.approx(wanted[0] + wanted[2], rel=1e-5)
    with pytest.raises(UserError, match="anomaly is 10, but the data have the classes 0 to 9"):
        anomaly.Task(task.model, anomaly=10, num_classes=10)


def test_a_run_says_the_auc_and_predict_the_score_of_a_picture(tmp_path, data_dir, capsys):
    config = mnist_anomaly.get_config("tiny").to_dict()
    train({**config, "duration": "20 steps"}, str(tmp_path / "run"), data_dir=data_dir)
    result = json.loads((tmp_path / "run" / "results" / "test.json").read_text())
    with np.load(tmp_path / "run" / "results" / "test.npz") as held:
        auc = roc_auc_score(held["anomalous"], held["values"])
        assert result["metrics"]["anomaly"] == pytest.approx(
            held["values"][held["anomalous"]].mean()
        )
    assert result["metrics"]["roc_auc"] == pytest.approx(auc) and result["examples"] == 96
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    capsys.readouterr()
    predict.predict(
        str(tmp_path / "run"), [str(tmp_path / "noise.png")], 1, "jsonl", reads="images"
    )
    said = json.loads(capsys.readouterr().out)
    with load(tmp_path / "run") as run:
        batch = {"image": pixels[None, ..., None]}
        score = run.task.predict(run.variables, batch)["values"][0]
    assert said["value"] == pytest.approx(float(score), rel=1e-4)
