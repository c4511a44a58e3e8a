"""metrics.jsonl and TensorBoard events, read back."""

import json
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event

from bigmodel_jax.writers import Writer, clock, cut, read


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
