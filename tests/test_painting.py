"""A run that paints: pictures at each evaluation, numbers of a classifier, `sample`; what is refused."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from bigmodel_jax import grids, sample
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.samples import arc
from bigmodel_jax.reports import painted
from bigmodel_jax.train import train
from configs import mnist, mnist_gan


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, data_dir):
    """The directory of a classifier that has learnt little."""
    config = mnist.get_config("cnn,tiny").to_dict()
    folder = tmp_path_factory.mktemp("runs") / "classifier"
    config["model"]["stages"] = (dict(features=8, pool=4),)
    train({**config, "duration": "10 steps", "evals": {}}, str(folder), data_dir=data_dir)
    return folder


@pytest.fixture(scope="module")
def run(classifier, data_dir):
    """The directory of a GAN that has learnt little, and the classifier looks at it at the end."""
    config = mnist_gan.get_config("tiny").to_dict()
    judged = dict(name="generated", split="test", classifier=str(classifier), n=130)
    config["evals"]["test"], config["duration"] = judged, "40 steps"
    folder = classifier.parent / "gan"
    train(config, str(folder), data_dir=data_dir)
    return folder


def test_a_classifier_measures_what_is_painted(run):
    result = json.loads((run / "results" / "test.json").read_text())
    numbers = result["metrics"]
    assert set(numbers) == {
        "frechet_classifier", "precision", "recall", "accuracy", "classes", "distance",
        "distance_real", "frechet_real",
    }  # fmt: skip
    assert result["examples"] == 130 == sum(result["counts"])
    present = sum(count >= 0.1 * 130 / len(result["counts"]) for count in result["counts"])
    assert numbers["classes"] == present and numbers["frechet_classifier"] > 0
    assert all(0 <= numbers[k] <= 1 for k in ("precision", "recall", "accuracy", "distance"))


def test_pictures_of_each_evaluation_are_kept_and_the_last_is_in_the_report(run):
    names = {path.name for path in (run / "plots").iterdir()}
    assert {"painted-samples-00000040.png", "painted-interpolations-00000040.png"} <= names
    assert {"painted-samples.png", "test-neighbours-00000040.png"} <= names
    assert "What it paints" in (run / "report.md").read_text()
    step, pixels = painted.newest(run)["test", "neighbours"]
    assert step == 40 and pixels.shape == (4 * 18 + 2, 10 * 18 + 2, 1)


def test_sample_paints_what_is_asked_for_and_the_same_for_a_seed(run, tmp_path):
    out = str(tmp_path / "grid.png")
    said = sample.sample(str(run), "ring", 5, out, 3, 0)
    assert "5 images of class ring, painted by step 40" in said
    first = np.asarray(Image.open(out))
    assert first.shape == (4 * (2 * 18 + 2), 4 * (3 * 18 + 2))  # each pixel four times as large
    sample.sample(str(run), "ring", 5, out, 3, 0)
    assert np.array_equal(first, np.asarray(Image.open(out)))
    sample.sample(str(run), None, 5, out, 3, 1)
    assert not np.array_equal(first, np.asarray(Image.open(out)))


def test_what_cannot_be_painted_is_said(run, classifier, tmp_path, data_dir):
    with pytest.raises(UserError, match="no class 'seven'"):
        sample.sample(str(run), "seven", 5, str(tmp_path / "grid.png"), 3, 0)
    with pytest.raises(UserError, match="'classify' paints no images"):
        sample.sample(str(classifier), None, 5, str(tmp_path / "grid.png"), 3, 0)
    with pytest.raises(UserError, match="cannot be written"):
        sample.sample(str(run), None, 5, str(tmp_path / "none" / "grid.png"), 3, 0)
    config = mnist_gan.get_config("tiny").to_dict()

    def refused(match, image_size=16, **spec):
        config["data"]["image_size"] = image_size
        config["evals"] = {"test": dict(name="generated", split="test", **spec)}
        with pytest.raises(UserError, match=match):
            train(config, str(tmp_path / "run"), data_dir=data_dir)

    refused("none of config.evals is no run", classifier="none")
    refused("it must be one of task 'classify'", classifier=str(run))
    refused("reads images of 16 pixels", image_size=12, classifier=str(classifier))


def test_a_grid_holds_the_images_row_by_row_between_gaps():
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    found = grids.grid(images, 2)
    assert found.shape == (10, 10, 1)
    places = [found[r : r + 2, c : c + 2] for r in (2, 6) for c in (2, 6)]
    assert [set(place.ravel().tolist()) for place in places] == [{0}, {1}, {2}, {grids.GROUND}]
    assert grids.in_bytes(np.array([-1.0, 0.5, 2.0])).tolist() == [0, 128, 255]


def test_an_arc_goes_from_one_noise_to_another_and_keeps_its_length():
    first, second = np.array([3.0, 0.0]), np.array([0.0, 3.0])
    np.testing.assert_allclose(arc(first, second, 0.0), first)
    np.testing.assert_allclose(arc(first, second, 1.0), second, atol=1e-6)
    np.testing.assert_allclose(arc(first, second, 0.5), 3 * np.sqrt([0.5, 0.5]), rtol=1e-6)
    assert jax.device_count() > 1  # on a mesh, rows are padded
