"""What a run ran on: enough to repeat it, and to say why a repetition differs."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    "bigmodel_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy",
    "tensorflow-datasets", "grain", "ml_collections", "absl-py",
)  # fmt: skip


def describe() -> dict:
    """Versions, devices, command, commit and uncommitted changes of this process."""
    import jax

    clone = Path(__file__).resolve().parent.parent
    ours = _git(clone, "rev-parse", "--show-toplevel") == str(clone)  # not a repository around it
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": [d.device_kind for d in jax.devices()],
        "processes": jax.process_count(),
        "processor": _processor(),
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "variables": {
            name: os.environ[name]
            for name in ("XLA_FLAGS", "JAX_PLATFORMS", "GLIBC_TUNABLES", "JAX_ENABLE_X64")
            if name in os.environ
        },
        "commit": _git(clone, "rev-parse", "HEAD") if ours else None,
        "diff": _git(clone, "diff", "HEAD") if ours else None,
    }


def stated() -> dict:
    """What must be the same on all processes of a run, besides its config: versions and our code."""
    package = Path(__file__).resolve().parent
    code = {
        str(path.relative_to(package.parent)): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in sorted(package.rglob("*.py"))
    }
    versions = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "packages": versions, "code": code}


def _processor() -> str | None:
    """What this machine's processor calls itself, where Linux says it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), None)


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(folder, *command):
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
