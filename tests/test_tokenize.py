"""`python -m bigmodel_jax.tokenize`: the command as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bigmodel_jax.data import corpora, token_files

COMMAND = [sys.executable, "-m", "bigmodel_jax.tokenize"]
ENVIRONMENT = {**os.environ, "BIGMODEL_ALLOCATOR": "default"}
TEXT = "the quick brown fox jumps over the lazy dog, and runs on\n"


def run(*args):
    """(exit code, standard output, standard error)."""
    done = subprocess.run([*COMMAND, *args], env=ENVIRONMENT, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_killed_command_goes_on_and_ends_with_the_same_bytes(tmp_path):
    for i in range(24):  # a shard each
        path = tmp_path / "in" / f"{i:02d}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{i} {TEXT}" * (corpora.SHARD // 2 // len(TEXT) // 40))
    shrink = "import bigmodel_jax.data.corpora as c; c.SHARD = 200_000"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(shrink)
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}"}

    def command(output, workers):
        options = [
            f"--input={tmp_path / 'in'}",
            f"--output={tmp_path / output}",
            "--vocabulary_size=300",
        ]
        return [*COMMAND, *options, f"--workers={workers}"]

    process = subprocess.Popen(command("killed", 1), env=environment, start_new_session=True)
    work = tmp_path / "killed.unfinished"
    while process.poll() is None and len(list(work.glob("shard-*.npz"))) < 3:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in work.glob("shard-*.npz")}
    assert 3 <= len(finished) < 24 and not (tmp_path / "killed").exists()
    subprocess.run(command("killed", 2), env=environment, check=True, capture_output=True)
    subprocess.run(command("whole", 1), env=environment, check=True, capture_output=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "killed", "site", "whole"]


def test_splits_share_a_tokenizer_and_the_command_reports_what_it_made(tmp_path):
    for name, texts in (("train", [TEXT] * 30 + [""]), ("val", [TEXT] * 3)):
        lines = "".join(json.dumps({"body": text}) + "\n" for text in texts)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    made = tmp_path / "made"
    options = (f"--input={tmp_path}/*.jsonl", f"--output={made}", "--text_column=body")
    code, out, err = run(*options, "--tokenizer=characters")
    assert code == 0, err
    assert "train: 31 documents, 1 of them empty, 1,710 tokens, 1.00 bytes a token" in out
    files = [token_files.open_file(made / split) for split in ("train", "validation")]
    assert files[0].meta["tokenizer_sha256"] == files[1].meta["tokenizer_sha256"]
    code, out, _ = run(*options)
    assert code == 0 and "already a token file" in out
    again = (
        f"--input={tmp_path}/val.jsonl",
        f"--output={tmp_path / 'again'}",
        "--text_column=body",
    )
    code, _, err = run(*again)
    assert code == 1 and "holds no train split" in err
    code, _, err = run(
        f"--input={tmp_path}/train.jsonl",
        f"--output={tmp_path / 'again'}",
        "--text_column=body",
        f"--tokenizer={made / 'train' / 'tokenizer.json'}",
    )
    assert code == 0, err
    assert contents(tmp_path / "again")["tokens.bin"] == contents(made / "train")["tokens.bin"]


@pytest.mark.parametrize(
    "options, complaint",
    [
        ((), "Which text?"),
        (("--input=/nowhere/at/all",), "--output=FOLDER"),
        (
            ("--input=/nowhere/at/all", "--output=OUT"),
            "There is no file or folder /nowhere/at/all.",
        ),
        (
            ("--input=IN", "--output=OUT", "--tokenizer=bep"),
            "no file and no kind. Did you mean 'bpe'?",
        ),
        (("--input=IN", "--output=OUT", "--tokenizer=IN"), "is not a tokenizer.json"),
        (("--input=IN", "--output=OUT", "--vocabulary_size=9"), "must be at least 261"),
        (("--input=IN", "--output=."), "is not empty: choose another folder"),
        (
            ("--dataset=imdb_review", "--output=OUT", "--data_dir=OUT"),
            "Did you mean 'imdb_reviews'?",
        ),
    ],
)
def test_what_a_user_can_get_wrong_is_one_sentence(tmp_path, options, complaint):
    (tmp_path / "in.txt").write_text(TEXT)
    places = {"IN": str(tmp_path / "in.txt"), "OUT": str(tmp_path / "out")}
    for short, long in places.items():
        options = [option.replace(short, long) for option in options]
    code, _, err = run(*options)
    assert code == 1 and err.startswith("error: ") and err.count("\n") == 1
    assert complaint in err
