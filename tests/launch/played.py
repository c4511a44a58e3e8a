"""Programs of clusters, played: each writes down what it was called with and answers by a script."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Stage:
    """A folder of played programs, put first on PATH."""

    def __init__(self, folder: Path):
        self.folder, self.log = folder, folder / "calls.jsonl"

    def play(self, name: str, answer: str = "") -> None:
        """A program `name`; `answer` is Python with `words` (its arguments) and `seen` (a list of
        earlier calls of this name), and may print, read and exit."""
        path = self.folder / name
        path.write_text(
            f"#!{sys.executable}\n"
            "import json, os, pathlib, sys\n"
            f"name, log, words = {name!r}, pathlib.Path({str(self.log)!r}), sys.argv[1:]\n"
            "seen = [json.loads(x) for x in log.read_text().splitlines()] if log.exists() else []\n"
            "seen = [call[1:] for call in seen if call[0] == name]\n"
            "with log.open('a') as file: file.write(json.dumps([name, *words]) + '\\n')\n"
            f"{answer}\n"
        )
        path.chmod(0o755)

    def calls(self, name: str) -> list[list[str]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [call[1:] for line in lines if (call := json.loads(line))[0] == name]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def run(self, *command: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environment(), **options
        )

    def launch(self, launcher: str, *words: str, **options) -> subprocess.CompletedProcess:
        """launch/LAUNCHER.py, where the played programs are."""
        script = str(ROOT / "launch" / f"{launcher}.py")
        return self.run(sys.executable, script, *words, cwd=self.folder, **options)
