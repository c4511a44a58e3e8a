"""Where metrics go: the console, metrics.jsonl and TensorBoard; on one process only."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Writer:
    """Writes rows of metrics.

    A resumed run cuts metrics.jsonl back to the step it resumes from, so that the file of a run that
    was stopped equals the file of one that was not (but for what measures time).

    Args:
        workdir: the run's directory; None writes to the console only (other processes: nothing).
        first_step: rows after it are cut.
        total: steps of the run, for the progress bar.
        prefix: put before every metric's name, for data that must not be taken for other data.
        quiet: write nothing at all.
    """

    def __init__(
        self, workdir: Path, first_step: int, total: int, prefix: str = "", quiet: bool = False
    ):
        self._quiet, self._prefix, self._total = quiet, prefix, total
        self._bar = None
        if quiet:
            return
        from tensorboardX import SummaryWriter

        self._path = workdir / "metrics.jsonl"
        cut(self._path, first_step)
        self._file = open(self._path, "a")  # noqa: SIM115 - closed on exit
        events = workdir / "tensorboard"
        # TensorBoard forgets what an earlier process wrote of the steps that come again.
        self._board = SummaryWriter(str(events), purge_step=first_step + 1 if first_step else 0)
        if sys.stdout.isatty():
            from rich import progress

            columns = [
                progress.TextColumn("{task.fields[info]}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TimeRemainingColumn(),
            ]
            self._bar = progress.Progress(*columns)
            self._bar.start()
            self._line = self._bar.add_task("", total=total, completed=first_step, info="")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._quiet:
            return
        if self._bar:
            self._bar.stop()
        self._file.close()
        self._board.close()

    def say(self, text: str) -> None:
        """A line on the console."""
        if not self._quiet:
            if self._bar:
                self._bar.console.print(text, markup=False, highlight=False)
            else:
                print(text, flush=True)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """One row: `{"step": 100, "train/loss": 0.41, ...}`."""
        if self._quiet or not metrics:
            return
        named = {self._prefix + name: value for name, value in metrics.items()}
        # JSON knows no NaN; a metric that is one becomes null.
        row = {name: value if math.isfinite(value) else None for name, value in named.items()}
        self._file.write(json.dumps({"step": step, **row}) + "\n")
        self._file.flush()
        for name, value in named.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()

    def write_once(self, step: int, metrics: Mapping[str, float]) -> bool:
        """`write`, unless a run that was killed right after it has left the same row; whether."""
        names = {self._prefix + name for name in metrics}
        if self._quiet or any(
            row["step"] == step and names <= row.keys() for row in read(self._path)
        ):
            return False
        self.write(step, metrics)
        return True

    def show(self, step: int, name: str, details: Mapping[str, Any]) -> None:
        """What an evaluator found besides numbers, in TensorBoard; pictures in plots/, too."""
        if not self._quiet:
            from bigmodel_jax.reports import board, painted

            board.evaluation(self._board, step, self._prefix + name, details)
            painted.keep(self._path.parent, step, name, details)
            self._board.flush()

    def histograms(self, step: int, params: Any) -> None:
        """The distribution of each parameter, in TensorBoard; called on every process."""
        from bigmodel_jax.reports import board

        found = board.distributions(params)
        if not self._quiet:
            board.histograms(self._board, step, self._prefix, found)
            self._board.flush()

    def text(self, step: int, name: str, text: str) -> None:
        """A text to be read letter by letter, such as the config, in TensorBoard."""
        if not self._quiet:
            lines = "".join(f"    {line}\n" for line in text.splitlines())  # as code in Markdown
            self._board.add_text(self._prefix + name, lines, step)
            self._board.flush()

    def images(self, step: int, name: str, images: Any) -> None:
        """Images in a grid, uint8 [images, height, width, 1 or 3], in TensorBoard."""
        if not self._quiet:
            self._board.add_images(self._prefix + name, images, step, dataformats="NHWC")
            self._board.flush()

    def progress(self, step: int, metrics: Mapping[str, float]) -> None:
        """Loss, rate and time left: the bar on a terminal, a plain line in a file or on a pod."""
        if self._quiet:
            return
        rate = metrics.get("train/steps_per_second", 0.0)
        shown = [f"loss {v:.4f}" for k, v in metrics.items() if k.endswith("loss")][:2]
        info = " ".join([*shown, f"{rate:.1f} steps/s"])
        if self._bar:
            self._bar.update(self._line, completed=step, info=info)
        else:
            left = (self._total - step) / rate if rate else 0
            print(f"step {step}/{self._total} {info} {clock(left)} left", flush=True)

    def table(self, title: str, metrics: Mapping[str, float]) -> None:
        """A table of metrics on the console."""
        if self._quiet:
            return
        self.say(title)
        named = {self._prefix + name: value for name, value in metrics.items()}
        print_table(named, self._bar.console if self._bar else None)


def print_table(metrics: Mapping[str, float], console=None) -> None:
    """Names and values, one below the other."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    (console or Console()).print(table)


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def cut(path: Path, last_step: int) -> None:
    """Removes the rows after a step, and a half-written last line, by one rename."""
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    kept = [line for line in lines if (row := _row(line)) and row["step"] <= last_step]
    part = path.with_suffix(".part")
    part.write_text("".join(line + "\n" for line in kept))
    part.replace(path)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, but for a last one that is half-written."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [row for line in lines if (row := _row(line))]


def _row(line):
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if "step" in row else None
