"""Times the way from the archive of IMDB to a trained model, and says where the time goes.

    python benchmarks/end_to_end.py aclImdb.tar.xz                       # some minutes
    python benchmarks/end_to_end.py aclImdb.tar.xz --variant=textcnn

Runs, as a user does, `bigmodel_jax.prepare imdb_reviews` and then `bigmodel_jax.main` on
configs/imdb.py:VARIANT,strict, in folders of their own, so that nothing is prepared, tokenised or
compiled already. What they print appears on stderr with the second at which it came; by these lines,
and by the folders of tokens that they name, the phases are told apart. A validation during training,
but for its tokenising, counts as training.
"""

import argparse
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The phase that a line of `main` begins.
BEGINNINGS = (
    (r"Training the tokenizer on ", "training the tokenizer"),
    (r"\S+: [\d,]+ parameters in ", "compiling and first steps"),
    (r"step \d+", "training"),
    (r"Results with ", "report"),
    (r"Report: ", "saving and leaving"),
)
TOKENISING = re.compile(r"Tokenising .* into (?P<folder>.+)\.")


class Phases:
    """Seconds by phase of a run of `main`, by what it prints and when.

    Attributes:
        seconds: by phase, in the order of their beginnings; the last one goes on.
    """

    def __init__(self, now: float):
        self.seconds: dict[str, float] = {}
        self._phase, self._since = "start-up and imports", now
        self._folder: Path | None = None
        self._evaluates = False  # what is tokenised from now on

    def line(self, text: str, now: float) -> None:
        """Takes a line that came at `now`."""
        self.look(now)
        if found := TOKENISING.match(text):
            self._folder = Path(found["folder"])
            part = "for evaluation" if self._evaluates else "train"
            self._begin(f"tokenising {part}", now)
            return
        for beginning, phase in BEGINNINGS:
            if re.match(beginning, text):
                self._evaluates |= phase == "compiling and first steps"
                self._begin(phase, now)

    def look(self, now: float) -> None:
        """Sees whether the folder that is being written is there: it appears whole, by one rename."""
        if self._folder and self._folder.is_dir():
            self._folder = None
            self._begin("evaluation" if self._evaluates else "building, counting", now)

    def end(self, now: float) -> None:
        """The run is over."""
        self._begin("", now)

    def _begin(self, phase, now):
        self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now


def lines_of(command: Sequence[str], cwd: Path) -> Iterator[tuple[float, str]]:
    """(when, a line) of what a command prints, and an empty line some times a second.

    Leaves the program where the command fails; kills it where the program is left.
    """
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    env["PYTHONPATH"] = str(ROOT)
    process = subprocess.Popen(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    came: queue.Queue[tuple[float, str] | None] = queue.Queue()

    def read():
        for line in process.stdout or ():
            came.put((time.perf_counter(), line))
        came.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                item = came.get(timeout=0.05)
            except queue.Empty:
                item = time.perf_counter(), ""
            if item is None:
                break
            yield item
        if process.wait():
            sys.exit(f"This command failed: {' '.join(command)}")
    finally:
        process.kill()
        process.wait()


def measure(archive: Path, variant: str) -> tuple[dict[str, float], list[str]]:
    """(seconds by phase, the lines with an accuracy) of preparing and training."""
    begun, results = time.perf_counter(), []
    python = [sys.executable, "-u", "-m"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = f"--data_dir={folder / 'data'}"
        prepare = ["bigmodel_jax.prepare", "imdb_reviews", f"--from={archive}", data]
        for now, line in lines_of([*python, *prepare], folder):
            echo(now - begun, line)
        prepared = time.perf_counter()
        phases = Phases(prepared)
        config = f"--config={ROOT / 'configs' / 'imdb.py'}:{variant},strict"
        train = ["bigmodel_jax.main", config, data, f"--workdir={folder / 'run'}"]
        for now, line in lines_of([*python, *train], folder):
            echo(now - begun, line)
            phases.line(line, now) if line else phases.look(now)
            if "/accuracy" in line:
                results.append(line.strip(" │\n"))
        phases.end(time.perf_counter())
    return {"prepare": prepared - begun, **phases.seconds}, results


def echo(seconds: float, line: str) -> None:
    """A line with its time, on stderr."""
    if line:
        print(f"{seconds:7.1f} {line}", end="", file=sys.stderr, flush=True)


def table(seconds: dict[str, float]) -> str:
    """phase, seconds and share, and their sum."""
    total = sum(seconds.values())
    rows = [*seconds.items(), ("all", total)]
    body = [f"{phase:28}{took:9.1f}{took / total:8.1%}" for phase, took in rows]
    return "\n".join([f"{'phase':28}{'seconds':>9}{'share':>8}", *body])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, help="aclImdb.tar.xz, aclImdb_v1.tar.gz or a folder")
    parser.add_argument("--variant", default="bag", help="of configs/imdb.py; bag by default")
    flags = parser.parse_args()
    if not flags.archive.exists():
        sys.exit(f"There is no {flags.archive}.")
    seconds, results = measure(flags.archive.resolve(), flags.variant)
    print(table(seconds))
    print("\n".join(dict.fromkeys(results)))


if __name__ == "__main__":
    main()
