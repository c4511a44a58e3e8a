"""Images from end to end: pretrained without labels, fine-tuned at another size, applied to files."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from bigmodel_jax import predict
from bigmodel_jax.applied import Explaining
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.tasks.mae import Task
from bigmodel_jax.train import train
from configs import cifar10_mae, folder

pytestmark = pytest.mark.slow

SIZE = 24


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data_dir):
    """(a run that has learnt to paint images of 16, one that has learnt classes of 24 from it)."""
    root = tmp_path_factory.mktemp("runs")
    config = cifar10_mae.get_config("tiny").to_dict()
    config["data"] |= {"image_size": 16}
    config["model"] |= {"image_size": 16, "positions": "learned", "dtype": "float32"}
    config["duration"], config["ema"], config["evals"] = "4 steps", 0.5, {}
    train(config, str(root / "mae"), data_dir=data_dir)
    config = folder.get_config("tiny,pretrained").to_dict()
    config["init_from"]["path"] = str(root / "mae")
    config["data"] |= {"image_size": SIZE, "transforms": (), "stored": True}
    config["duration"], config["early_stopping"] = "4 steps", {}
    del config["evals"]["val"]
    train(config, str(root / "classes"), data_dir=data_dir)
    return root / "mae", root / "classes"


def test_the_encoder_is_taken_its_positions_resized_the_rest_dropped(runs):
    table = json.loads((runs[1] / "init_from.json").read_text())["arrays"]
    done = {row["target"] or row["source"]: row["done"] for row in table}
    assert done["grid_positions/embedding"].startswith("resized from [16, 16]")
    assert done["encoder/block_0/mlp/up/kernel"] == "copied"
    assert done["classifier/kernel"] == "fresh"
    assert {k for k, v in done.items() if v == "dropped"} >= {"mask_token", "pixels/kernel"}
    mae, classes = (json.loads((run / "config.json").read_text()) for run in runs)
    assert classes["task"]["mean"] == mae["task"]["mean"]  # the encoder's units stay
    assert classes["model"]["name"] == "vit" and classes["model"]["image_size"] == SIZE


def test_predict_answers_image_files_as_the_evaluation_does(runs, tmp_path, data_dir, capsys):
    result = evaluate(str(runs[1]), "test[:8]", data_dir)
    from bigmodel_jax.data.readers.synthetic_images import Reader

    config = json.loads((runs[1] / "config.json").read_text())
    spec = {k: v for k, v in config["data"]["reader"].items() if k != "name"}
    for i, example in enumerate(Reader(**spec).examples("test", range(8))):
        Image.fromarray(example["image"]).save(tmp_path / f"{i}.png")
    capsys.readouterr()
    found = predict.images([str(tmp_path)])
    assert predict.predict(str(runs[1]), found, 4, "jsonl", reads="images") == 8
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = np.array([list(line["probabilities"].values()) for line in lines])
    np.testing.assert_allclose(said, result["details"]["probabilities"], atol=1e-5)
    assert lines[0]["image"].endswith("0.png")


def test_what_cannot_be_answered_is_said(runs, tmp_path):
    with pytest.raises(UserError, match="is a run on images: name them with --image"):
        predict.predict(str(runs[1]), ["a text"], 4, "jsonl", reads="texts")
    with pytest.raises(UserError, match="There is no image file none.png"):
        predict.predict(str(runs[1]), ["none.png"], 4, "jsonl", reads="images")
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image"):
        predict.predict(str(runs[1]), [str(tmp_path / "a.png")], 4, "jsonl", reads="images")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="There are no images in"):
        list(predict.images([str(tmp_path / "empty")]))


def test_reports_show_what_the_network_sees_and_mistakes(runs):
    shown = {p.name for p in (runs[1] / "plots").iterdir()}
    assert shown >= {"samples.png", "filters.png", "test-mistakes.png", "test-confusion.png"}
    with np.load(runs[1] / "assets" / "samples.npz") as held:
        assert held["image"].shape[1:] == (SIZE, SIZE, 3) and held["image"].dtype == np.uint8


def test_hidden_patches_alone_count_and_an_evaluation_hides_the_same_of_all():
    class Painter:  # paints zeros; the patches with the smallest noise are seen
        num_patches = 4

        def apply(self, variables, image, *rest, method=None, train=None, rngs=None, mutable=None):
            if method == "targets":
                return image.reshape(len(image), 4, -1)
            noise = rest[0]
            return jax.numpy.zeros((len(image), 4, 3)), noise.argsort(1).argsort(1) >= 1

    image = np.zeros((3, 2, 2, 3), np.uint8)
    image[:, 0, 0] = 255  # the first patch is off by 1, all others are right
    batch = {"image": image, "valid": np.array([True, True, False])}
    task = Task(Painter())
    value, _ = task.loss({"params": {}}, batch, jax.random.key(3), train=False)
    assert value.weight == 6  # three hidden patches of each of two images
    assert float(value.total) in (0.0, 2.0)  # of both images, or of none
    drawn = [
        float(task.loss({"params": {}}, batch, jax.random.key(i), train=True)[0].total)
        for i in range(24)
    ]
    assert {0.0, 1.0, 2.0} >= set(drawn) and len(set(drawn)) > 1


def test_a_page_shows_why(runs, tmp_path, capsys):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "a.png")
    page = Explaining(None, str(tmp_path / "why.html"))
    with pytest.raises(UserError, match="--explain_html=why.html"):
        predict.predict(str(runs[1]), [], 4, "table", Explaining(), reads="images")
    found = predict.images([str(tmp_path)])
    predict.predict(str(runs[1]), found, 4, "jsonl", page, reads="images")
    line = json.loads(capsys.readouterr().out)
    assert line["explained"] == line["label"] and line["completeness"]["complete"]
    html = (tmp_path / "why.html").read_text()
    assert html.count("<img") == 4 and "Grad-CAM" in html and "attention rollout" in html
    with pytest.raises(UserError, match="task 'mae', which says nothing of images"):
        predict.predict(str(runs[0]), [], 4, "jsonl", reads="images")
