"""What the launchers share: one interface, the command they start, and how a command is shown.

Nothing but the standard library: a laptop or a login node runs them, where JAX need not be.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Exit code of a run that was asked to stop and has saved, but is not at its end (sysexits.h:
# EX_TEMPFAIL). Only by it can a launcher tell a preempted run from a finished one.
STOPPED = 75
# Where launchers of machines without a disk in common mount one.
MOUNT = "/mnt/shared"


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the flags of every launcher."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--config", help="configs/NAME.py[:variant,key=value], of bigmodel_jax.main")
    made.add_argument("--workdir", help="where the run lives, on a disk that all machines share")
    made.add_argument(
        "--restarts", type=int, default=0, help="how often a run that failed starts again"
    )
    made.add_argument("--dry_run", action="store_true", help="print what would be run, run nothing")
    made.add_argument("arguments", nargs="*", help="more of bigmodel_jax.main's, after --")
    return made


def arguments(options: argparse.Namespace) -> list[str]:
    """What bigmodel_jax.main gets."""
    own = [f"--{k}={v}" for k in ("config", "workdir") if (v := getattr(options, k))]
    given = [*own, *options.arguments]
    if not any(word.startswith("--config=") for word in given):
        fail("--config=configs/NAME.py says what to train, and is missing.")
    return given


def shared_workdir(options: argparse.Namespace) -> None:
    """Refuses a --workdir that would go with the machine that it lies on."""
    if not (options.workdir or "").startswith(f"{MOUNT}/"):
        fail(
            f"--workdir {options.workdir!r} must lie under {MOUNT}/, where all machines see the same "
            "disk: their own go with them, and checkpoints would too."
        )


def name(options: argparse.Namespace) -> str:
    """A name for a job of this run, as Kubernetes and Google Cloud allow it."""
    if options.name:
        words = options.name
    elif options.workdir:
        words = Path(options.workdir).name
    else:
        words = (options.config or "run").removeprefix("configs/").replace(".py", "")
    plain = re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")[:40].strip("-")
    plain = plain if plain[:1].isalpha() else f"run-{plain}"
    if options.name and plain != options.name:
        fail(
            f"--name {options.name!r} is not lower-case letters, digits and dashes, a letter first, "
            f"40 at most: {plain!r} would be."
        )
    return plain


def positive(options: argparse.Namespace, *flags: str) -> None:
    """Refuses sizes that are none."""
    for flag in flags:
        if getattr(options, flag) < 1:
            fail(f"--{flag} must be at least 1, not {getattr(options, flag)}.")


def show(command: list[str]) -> None:
    """A command as it can be pasted into a shell."""
    print(f"+ {shlex.join(command)}", flush=True)


def run(command: list[str], *, check: bool = True, **options) -> subprocess.CompletedProcess:
    """Shows and runs a command; where it fails, so does the launcher, unless `check` is off."""
    show(command)
    try:
        done = subprocess.run(command, text=True, **options)
    except FileNotFoundError:
        fail(f"{command[0]} is not on this machine: install it, or look at --dry_run.")
    if check and done.returncode:
        fail(f"{shlex.join(command[:5])} ... ended with exit code {done.returncode}.")
    return done


def fail(text: str):
    sys.exit(f"error: {text}")
