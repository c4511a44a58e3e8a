"""The breakdown of a whole run: every phase is found in what the commands print, and none twice."""

import importlib
import sys
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
PHASES = [
    "start-up and imports",
    "training the tokenizer",
    "tokenising train",
    "building, counting",
    "compiling and first steps",
    "training",
    "tokenising for evaluation",
    "evaluation",
    "report",
    "saving and leaving",
]


@pytest.fixture
def end_to_end(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("end_to_end")
    sys.modules.pop("end_to_end", None)


@pytest.mark.slow
def test_a_run_is_cut_into_its_phases_and_they_are_all_of_it(end_to_end, tmp_path):
    start = time.perf_counter()
    phases, shown = end_to_end.Phases(start), []
    config = f"--config={FOLDER.parent / 'configs' / 'imdb.py'}:bag,tiny"
    flags = [config, f"--data_dir={tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}"]
    command = [sys.executable, "-u", "-m", "bigmodel_jax.main", *flags]
    for now, line in end_to_end.lines_of(command, tmp_path):
        phases.line(line, now) if line else phases.look(now)
        shown.append(line)
    phases.end(end := time.perf_counter())
    assert list(phases.seconds) == PHASES and any("Done:" in line for line in shown)
    assert sum(phases.seconds.values()) == pytest.approx(end - start)
    assert min(phases.seconds.values()) >= 0 and phases.seconds["start-up and imports"] > 0.1


def test_each_phase_lasts_from_its_line_to_the_next(end_to_end, tmp_path):
    train, val = tmp_path / "train", tmp_path / "val"
    phases = end_to_end.Phases(0.0)
    phases.line("Training the tokenizer on x train.\n", 2.0)
    phases.line(f"Tokenising x train[:90%] into {train}.\n", 5.0)
    phases.look(6.0)  # not there yet
    train.mkdir()
    phases.look(9.0)
    phases.line("lstm: 1,000 parameters in 3 arrays; 30 steps\n", 10.0)
    phases.line("step 10/30 loss 0.2\n", 15.0)
    phases.line(f"Tokenising x train[90%:] into {val}.\n", 20.0)
    val.mkdir()
    phases.line("step 20 val/loss 0.2000\n", 22.0)
    phases.line("step 30/30 loss 0.1\n", 30.0)
    phases.end(31.0)
    expected = [2, 3, 4, 1, 5, 5 + 8 + 1, 2, 0]
    assert list(phases.seconds.items()) == list(zip(PHASES[:8], expected, strict=True))


def test_the_table_has_shares_that_add_up(end_to_end):
    lines = end_to_end.table({"prepare": 1.0, "training": 3.0}).splitlines()
    assert [line.split()[-2:] for line in lines[1:]] == [
        ["1.0", "25.0%"],
        ["3.0", "75.0%"],
        ["4.0", "100.0%"],
    ]


def test_a_command_that_fails_ends_the_benchmark(end_to_end, tmp_path):
    failing = [sys.executable, "-c", "print('half'); raise SystemExit(3)"]
    lines = end_to_end.lines_of(failing, tmp_path)
    with pytest.raises(SystemExit, match="This command failed: .*SystemExit"):
        list(lines)
    begun = end_to_end.lines_of(failing, tmp_path)
    assert next(line for _, line in begun if line) == "half\n"
