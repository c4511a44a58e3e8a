"""Proves that a config gives the same numbers again, and in every way that must not matter.

    python -m bigmodel_jax.verify --config=configs/imdb.py:bag,tiny
    python -m bigmodel_jax.verify --config=... --laws=stopped,devices --json=laws.json

Trains a few steps of the config, many times over, in a temporary folder: again, stopped, killed, on
several devices and processes, in micro-batches, with other batch sizes, and compares. Prints a row for
each law; exits with 0 where none fails. The test split is not looked at. Where the run that the config
starts from is not there, a tiny one stands in.
"""

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

from absl import flags

from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.runtime import DATA_DIR, define_config, read_config, run_main


def define_flags() -> None:
    define_config("verify")
    flags.DEFINE_integer("steps", 6, "Steps of each run, at least.", lower_bound=2)
    flags.DEFINE_list("laws", [], "Only these of the laws, by the names that the table has.")
    flags.DEFINE_string("json", "", "A file for the figures.")


def main() -> None:
    options = flags.FLAGS
    given = read_config("verify")
    # Else this process takes three quarters of a GPU's memory, and its children find none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from bigmodel_jax.data.prepared import default_data_dir
    from bigmodel_jax.verifying import laws
    from bigmodel_jax.verifying.parent import stand_in
    from bigmodel_jax.verifying.subject import Subject

    for law in options.laws:
        if law not in laws.LAWS:
            raise UserError(f"--laws: there is no law {law!r}.{nearest(law, laws.LAWS)}")
    data_dir = DATA_DIR.value or default_data_dir()
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        with contextlib.redirect_stdout(io.StringIO()):
            config, note = stand_in(given, data_dir, Path(folder))
            subject = Subject(config, data_dir, Path(folder), options.steps)
        for said in filter(None, (note, subject.substitute)):
            print(f"NOTE: {said}")
        print(laws.COLUMNS, flush=True)
        verdicts = []
        for verdict in laws.verify(subject, options.laws or laws.LAWS):
            print(laws.line(verdict), flush=True)
            verdicts.append(verdict)
    if options.json:
        content = {"config": subject.short, "laws": [v.as_json() for v in verdicts]}
        Path(options.json).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    failed = [v.law for v in verdicts if not v.fine]
    held = sum(v.word == "holds" for v in verdicts)
    rest = len(verdicts) - held - len(failed)
    print(f"{held} laws hold, {rest} do not apply, {len(failed)} fail.")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    define_flags()
    run_main(main)
