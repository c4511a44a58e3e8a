"""Why a repetition may differ: what is not as it was when the result was recorded."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax.reproducing.running import Outcome

CLONE = Path(__file__).resolve().parent.parent.parent


def causes(expected: Mapping[str, Any], outcome: Outcome) -> list[str]:
    """In words, the likeliest first; none where nothing is known to differ.

    Args:
        expected: a result, see expected.py.
    """
    found, environment = [], outcome.environment
    was, is_now = expected["data"]["fingerprint"], outcome.fingerprint
    if was != is_now:
        found.append(f"the data differ (fingerprint {str(was)[:12]} -> {str(is_now)[:12]})")
    kind = environment["devices"][0]
    if (
        kind.lower()
        not in str(expected.get("machine", {}).get("devices", expected["device"])).lower()
    ):
        found.append(f"the device differs ({expected['device']} -> {kind})")
    packages = environment["packages"]
    versions = expected["versions"].items()
    changed = [f"{k} {v} -> {packages.get(k)}" for k, v in versions if packages.get(k) != v]
    if changed:
        found.append(f"versions differ ({', '.join(changed)})")
    code = _changed_code(expected["commit"])
    if code or environment.get("diff"):
        since = f"{code} files of bigmodel_jax since {expected['commit'][:7]}" if code else ""
        own = "changes that are not committed" if environment.get("diff") else ""
        found.append(f"the code differs ({', '.join(filter(None, (since, own)))})")
    return found


def _changed_code(commit: str) -> int:
    """How many files of the package have changed since a commit; 0 where Git cannot say."""
    command = ["git", "-C", str(CLONE), "diff", "--name-only", commit, "HEAD", "--", "bigmodel_jax"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len(done.stdout.split()) if done.returncode == 0 else 0
