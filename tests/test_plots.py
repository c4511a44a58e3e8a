"""Figures against the formulas and libraries they draw, and against what they must not do."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest
from PIL import Image

from bigmodel_jax.evals import slices
from bigmodel_jax.evals.classification_metrics import calibration_error
from bigmodel_jax.evals.multilabel_metrics import average_precision
from bigmodel_jax.reports import filters
from bigmodel_jax.reports.plots import (
    calibration,
    confusion,
    curves,
    evaluations,
    labels,
    lengths,
    ranking,
    style,
)  # fmt: skip
from tests import made_run


def scored(n=400, ties=True, seed=0):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    scores = rng.normal(size=n) + positive
    return np.round(scores, 1) if ties else scores, positive


@pytest.mark.parametrize("ties", [False, True])
def test_roc_and_precision_recall_are_those_of_scikit_learn(ties):
    metrics = pytest.importorskip("sklearn.metrics")
    scores, positive = scored(ties=ties)
    x, y = ranking.roc(scores, positive)
    expected = metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(x, expected[0])
    np.testing.assert_allclose(y, expected[1])
    recall, precision = ranking.precision_recall(scores, positive)
    expected = metrics.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(precision[1:], expected[0][:-1][::-1])
    np.testing.assert_allclose(recall[1:], expected[1][:-1][::-1])
    area = np.sum(np.diff(recall) * precision[1:])
    assert average_precision(scores, positive) == pytest.approx(area)


def test_thinning_a_curve_keeps_its_ends_and_its_area():
    x, y = ranking.roc(*scored(20_000, ties=False))
    thin_x, thin_y = ranking._thin(x, y)
    assert len(thin_x) <= ranking.POINTS + 2
    assert (thin_x[0], thin_y[0], thin_x[-1], thin_y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(thin_y, thin_x) == pytest.approx(np.trapezoid(y, x), abs=1e-3)


def test_the_bins_of_the_reliability_diagram_add_up_to_the_metric():
    details = made_run.details("six", 1000)
    scores, truth = details["probabilities"], details["labels"]
    counts, confidences, accuracies = calibration.bins(scores, truth)
    assert counts.sum() == 1000
    ece = np.sum(counts * np.abs(confidences - accuracies)) / 1000
    metric = calibration_error(scores.max(-1), scores.argmax(-1) == truth)
    assert ece == pytest.approx(metric, abs=1e-6)


@pytest.mark.parametrize(
    "values", [np.arange(1000), np.full(50, 400), np.array([3]), np.r_[1:9, [400] * 90]]
)
def test_groups_by_length_hold_every_example_once_and_keep_equal_lengths_together(values):
    parts = slices.tenths(values)
    assert sorted(np.concatenate(parts)) == list(range(len(values)))
    assert 1 <= len(parts) <= slices.GROUPS
    seen = [set(values[part]) for part in parts]
    assert sum(map(len, seen)) == len(set(values))


@pytest.mark.parametrize("errors, count", [(0, 10), (3, 10), (50, 1000)])
def test_the_interval_of_a_rate_is_wilsons(errors, count):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(errors, count).proportion_ci(method="wilson")
    assert lengths.wilson(errors, count) == pytest.approx(tuple(expected), abs=1e-6)


def test_the_interval_holds_the_rate_itself_whatever_is_rounded():
    for count in range(1, 60):  # matplotlib refuses error bars of less than no length
        for errors in (0, count):
            low, high = lengths.wilson(errors, count)
            assert low <= errors / count <= high


def test_the_most_confused_pairs_are_the_largest_cells_off_the_diagonal():
    counts = np.array([[50, 0, 2], [7, 3, 0], [0, 1, 9]])
    assert confusion.most_confused(counts, 2) == [(1, 0, 7, 0.7), (0, 2, 2, pytest.approx(2 / 52))]
    assert confusion.most_confused(np.diag([3, 4])) == []


@pytest.mark.parametrize("kind", [*made_run.KINDS, "20", "300"])
def test_every_figure_is_a_picture_of_its_own_and_warns_of_nothing(kind, recwarn):
    details = made_run.details(kind)
    found = list(evaluations.figures("test", details["label_names"], details, details))
    assert len(found) >= 3
    for key, alt, figure in found:
        image = Image.open(io.BytesIO(style.png(figure)))
        assert len(np.unique(np.asarray(image))) > 10, key
        root = ElementTree.fromstring(style.svg(figure, key, alt))  # well-formed, all escaped
        assert root.get("aria-label") == alt
        assert any("n = 200" in "".join(text.itertext()) for text in root.iter())
    assert not [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize("count", [2, 6, 20])
def test_no_two_labels_of_a_confusion_matrix_overlap(count):
    names = [f"comp.sys.name.of.class {i}" for i in range(count)]
    figure = confusion.plot(np.full((count, count), 12345), names, "Confusion")
    style.pixels(figure)  # draws
    (ax,) = figure.axes
    for texts in (ax.get_yticklabels(), ax.texts):
        boxes = [text.get_window_extent() for text in texts]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_names_that_the_font_lacks_become_indices_and_long_ones_lose_their_middle():
    assert style.legible(["neg", "größe"]) == ["neg", "größe"]
    assert style.legible(["体育", "sport"]) == ["0", "1"]
    assert style.legible(["עברית", "sport"]) == ["0", "1"]  # would be written from left to right
    short = style.legible(["comp.sys.ibm.pc.hardware.misc", "x"])[0]
    assert len(short) == style.SHOWN and short.startswith("comp.sys") and short.endswith("misc")
    alike = ["a" * 20 + x + "b" * 20 for x in "xy"]
    assert style.legible(alike) == ["0", "1"]


def test_curves_are_those_of_training_and_of_the_evaluators_that_run_then():
    rows = [
        {"step": 1, "train/loss": 2.0, "train/epoch": 0.5, "train/grad_norm": 1.0},
        {"step": 2, "train/loss": None, "val/loss": 1.0, "val/f1": 0.5, "val/recall": 0.1},
        {"step": 3, "test/loss": 9.0},
    ]
    found = curves.series(rows, ["val"], "val/f1")
    assert list(found) == ["loss", "f1"]
    assert {k: v.tolist() for k, v in found["loss"].items()} == {"train": [[1, 2]], "val": [[2, 1]]}


def test_a_line_of_many_points_is_averaged():
    points = np.stack([np.arange(10_000), np.arange(10_000) % 2], 1).astype(float)
    few = curves._averaged(points)
    assert len(few) == curves.POINTS and few.mean(0) == pytest.approx(points.mean(0), rel=1e-2)


def test_labels_that_never_occur_have_no_average_precision():
    details = made_run.details("labels")
    positives = details["labels"] > 0.5
    positives[:, 1] = False
    figure = labels.plot_average_precision(details["probabilities"], positives, list("abc"), "AP")
    assert {text.get_text() for text in figure.axes[0].get_yticklabels()} == {"a", "c"}


def test_the_users_own_plots_are_left_alone():
    script = """
import sys, matplotlib
matplotlib.rcParams["font.size"] = 33
from tests.test_plots import confusion, style
style.png(confusion.plot([[1, 2], [3, 4]], ["a", "b"], "title"))
assert matplotlib.rcParams["font.size"] == 33 and "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_first_kernel_is_the_one_that_reads_pixels():
    kernel, other = np.zeros((3, 3, 1, 5)), np.zeros((3, 3, 5, 2))
    flat = np.zeros((36, 4))  # of images of 6 x 6, and of a map of 3 x 3 with 4 channels
    params = {"block_0": {"kernel": other}, "hidden": {"kernel": flat, "bias": np.zeros(4)}}
    assert filters.first_kernel({**params, "stem": {"kernel": kernel}}, (6, 6, 1)) is kernel
    assert filters.first_kernel(params, (6, 6, 1)) is flat
    assert filters.first_kernel(params, (7, 7, 1)) is None


def test_filters_are_kept_the_largest_first_and_drawn_gray_where_their_weights_are_0(tmp_path):
    class Source:
        images = peek = staticmethod(lambda: {"image": np.zeros((1, 2, 2, 1), np.uint8)})

    kernel = np.array([[0.5, 0.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 0.0, -3.0], [0.0, 0.0, 0.0]])
    mesh = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1])
    filters.keep(tmp_path, {"params": {"kernel": jax.numpy.asarray(kernel)}}, Source(), mesh)
    with np.load(tmp_path / "filters.npz") as held:
        assert held["number"].tolist() == [2, 0, 1] and held["total"] == 3
        shown = filters.as_images(held["filter"])
    assert shown[..., 0].reshape(3, 4).tolist() == [
        [255, 128, 0, 128],
        [191, 128, 0, 128],
        [128] * 4,
    ]
