"""metrics.jsonl and TensorBoard events, read back."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from bigmodel_jax.reports import mistakes
from bigmodel_jax.reports.plots import evaluations
from bigmodel_jax.train import train
from bigmodel_jax.writers import Writer, clock, cut, read
from tests import made_run
from tests.laws.harness import CONFIGS


def events(folder):
    """(step, name, value) of every scalar in the event files, by the TFRecord framing."""
    found = []
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            found += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
            at += length + 16  # length, its checksum, data, its checksum
    return found


def test_rows_go_to_the_file_and_to_tensorboard(tmp_path):
    with Writer(tmp_path, 0, 10, prefix="synthetic_reviews/") as writer:
        writer.write(5, {"train/loss": 0.25})
        writer.write(10, {"val/accuracy": 0.5, "val/loss": 1.0})
    assert read(tmp_path / "metrics.jsonl") == [
        {"step": 5, "synthetic_reviews/train/loss": 0.25},
        {"step": 10, "synthetic_reviews/val/accuracy": 0.5, "synthetic_reviews/val/loss": 1.0},
    ]
    assert events(tmp_path / "tensorboard") == [
        (5, "synthetic_reviews/train/loss", 0.25),
        (10, "synthetic_reviews/val/accuracy", 0.5),
        (10, "synthetic_reviews/val/loss", 1.0),
    ]


def shown(folder):
    """{tag: {step: the summaries}} of everything that TensorBoard shows of a folder.

    Where a process starts anew at a step, TensorBoard forgets what was there of it and of later ones.
    """
    found = []
    for path in sorted(folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            if event.HasField("session_log"):
                found = [(step, value) for step, value in found if step < event.step]
            found += [(event.step, value) for value in event.summary.value]
            at += length + 16
    tags = {value.tag: {} for _, value in found}
    for step, value in found:
        tags[value.tag].setdefault(step, []).append(value)
    return tags


def test_images_become_one_picture(tmp_path):
    with Writer(tmp_path, 0, 10, prefix="made/") as writer:
        writer.images(0, "samples", np.full((3, 4, 5, 1), 200, np.uint8))
    (image,) = shown(tmp_path / "tensorboard")["made/samples"][0]
    picture = Image.open(io.BytesIO(image.image.encoded_image_string))
    assert picture.size == (15, 4) and picture.convert("L").getextrema() == (200, 200)


def test_an_evaluation_shows_its_confusion_matrix_curves_and_mistakes(tmp_path):
    rest, arrays = mistakes.kept(made_run.Evaluated(made_run.details("binary")))
    counts = evaluations.confusion_of(rest["label_names"], rest, arrays)
    with Writer(tmp_path, 0, 10, prefix="made/") as writer:
        writer.show(5, "test", {**rest, **arrays, "confusion_matrix": counts.tolist()})
    found = shown(tmp_path / "tensorboard")
    assert set(found) == {
        "made/test/confusion_matrix", "made/test/precision_recall/pos", "made/test/mistakes/text_summary",
    }  # fmt: skip
    (image,) = found["made/test/confusion_matrix"][5]
    picture = Image.open(io.BytesIO(image.image.encoded_image_string))
    assert picture.size == (image.image.width, image.image.height) and min(picture.size) > 200
    (text,) = found["made/test/mistakes/text_summary"][5]
    assert rest["mistakes"][0]["text"][:20] in text.tensor.string_val[0].decode()
    (curve,) = found["made/test/precision_recall/pos"][5]
    positives = np.array(curve.tensor.float_val).reshape(6, -1)[0]  # true ones, by threshold
    right = (arrays["labels"] == 1) & (arrays["probabilities"][:, 1] >= 63 / 126)
    assert positives[0] == (arrays["labels"] == 1).sum() and positives[63] == right.sum()


@pytest.mark.parametrize("kind", ["six", "labels", "number", "300"])
def test_every_kind_of_evaluation_can_be_shown(kind, tmp_path):
    with Writer(tmp_path, 0, 10) as writer:
        writer.show(5, "val", made_run.details(kind))
        writer.show(5, "other", {})
    count = {"six": 6, "labels": 3}.get(kind, 0)
    assert len(shown(tmp_path / "tensorboard")) == count


def test_histograms_count_every_parameter(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    params = {"embed": {"table": values}, "bias": np.zeros(7, np.float32)}
    with Writer(tmp_path, 0, 10) as writer:
        writer.histograms(3, params)
    found = shown(tmp_path / "tensorboard")
    assert set(found) == {"params/embed/table", "params/bias"}
    (summary,) = found["params/embed/table"][3]
    histo = summary.histo
    expected, edges = np.histogram(values, bins=len(histo.bucket))
    np.testing.assert_allclose(histo.bucket_limit, edges[1:], rtol=1e-5)
    assert np.abs(np.array(histo.bucket) - expected).sum() <= 2  # rounding at an edge
    assert histo.num == values.size and histo.min == values.min() and histo.max == values.max()
    assert histo.sum_squares == pytest.approx(np.square(values).sum(), rel=1e-5)
    assert found["params/bias"][3][0].histo.num == 7


def test_a_stopped_and_resumed_run_shows_everything_once(tmp_path, data_dir):
    config = {**CONFIGS["imdb-lstm"](), "histograms": "10 steps", "log_every": "10 steps"}
    config["checkpoint"] = {"every": "10 steps", "keep": 1}
    train({**config, "duration": "20 steps"}, tmp_path, data_dir=data_dir)
    first = shown(tmp_path / "tensorboard")
    train({**config, "duration": "20 steps"}, tmp_path, data_dir=data_dir)  # it is finished
    assert shown(tmp_path / "tensorboard") == first
    train(
        {**config, "duration": "40 steps"}, tmp_path, data_dir=data_dir, allow_changed_config=True
    )
    found = shown(tmp_path / "tensorboard")
    names = {tag.removeprefix("synthetic_reviews/") for tag in found}
    assert {"config/text_summary", "test/mistakes/text_summary", "val/confusion_matrix"} < names
    for tag, steps in found.items():
        assert all(len(values) == 1 for values in steps.values()), tag
    assert list(found["synthetic_reviews/params/head/bias"]) == [10, 20, 30, 40]
    assert (
        "lstm" in found["synthetic_reviews/config/text_summary"][0][0].tensor.string_val[0].decode()
    )


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(tmp_path):
    for _ in range(2):
        with Writer(tmp_path, 0, 10) as writer:
            writer.text(0, "config", "a: 1")
            writer.write(5, {"loss": 1.0})
    found = shown(tmp_path / "tensorboard")
    assert [len(found[tag][step]) for tag, step in (("config/text_summary", 0), ("loss", 5))] == [
        1,
        1,
    ]


def test_a_resumed_run_cuts_what_it_will_write_again(tmp_path):
    with Writer(tmp_path, 0, 10) as writer:
        for step in (2, 4, 6):
            writer.write(step, {"loss": 1.0 / step})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 8, "lo')  # killed in the middle of a line
    with Writer(tmp_path, 4, 10) as writer:
        writer.write(6, {"loss": 9.0})
    assert [(r["step"], r["loss"]) for r in read(tmp_path / "metrics.jsonl")] == [
        (2, 0.5), (4, 0.25), (6, 9.0),
    ]  # fmt: skip


def test_a_row_that_is_written_once_stays_one(tmp_path):
    for _ in range(2):  # killed between the row and the result's file, the run comes here again
        with Writer(tmp_path, 10, 10) as writer:
            writer.write_once(10, {"test/accuracy": 0.5, "test/loss": 1.0})
    assert read(tmp_path / "metrics.jsonl") == [
        {"step": 10, "test/accuracy": 0.5, "test/loss": 1.0}
    ]


def test_cutting_a_file_that_is_not_there_makes_none(tmp_path):
    cut(tmp_path / "metrics.jsonl", 3)
    assert not list(tmp_path.iterdir())


def test_in_a_file_the_progress_is_plain_lines(tmp_path, capsys):
    with Writer(tmp_path, 0, 100) as writer:
        writer.progress(50, {"train/loss": 0.5, "train/steps_per_second": 10.0})
    assert capsys.readouterr().out == "step 50/100 loss 0.5000 10.0 steps/s 0:05 left\n"


def test_a_quiet_writer_writes_nothing(tmp_path, capsys):
    with Writer(tmp_path, 0, 10, quiet=True) as writer:
        writer.write(1, {"loss": 1.0})
        writer.say("hello")
        writer.table("Results", {"loss": 1.0})
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


@pytest.mark.parametrize("seconds, text", [(5, "0:05"), (65, "1:05"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_values_survive_json_exactly(tmp_path):
    value = 0.1 + 0.2
    with Writer(tmp_path, 0, 1) as writer:
        writer.write(1, {"x": value})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["x"] == value
