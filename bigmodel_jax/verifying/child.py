"""Processes of their own for the laws that need some: a cold start, a kill, several, other devices.

python -m bigmodel_jax.verifying.child TASK.json
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from bigmodel_jax.errors import UserError
from bigmodel_jax.verifying.finding import DoesNotApply, Finding

PRETENDED = 4  # CPU devices, where there is one real device or none that several processes can have
SHOWN = 15  # lines of what a process that fails has said


def train(subject, name: str, config: Mapping, kill: int = 0) -> None:
    """Trains into the subject's folder; with `kill`, until that dispatch, at which it is killed.

    Raises:
        DoesNotApply: its devices are this process's alone.
    """
    if jax.default_backend() == "tpu":
        raise DoesNotApply("a TPU is one process's at a time, and this process has it")
    task = {"config": config, "workdir": str(subject.folder / name), "kill": kill}
    _run(subject, name, task, [{}], expected=-9 if kill else 0)


def together(subject, name: str, config: Mapping, processes: int) -> None:
    """Trains in several processes at once, each on one CPU device."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    environments = [
        {
            **pretended(1),
            "BIGMODEL_COORDINATOR": address,
            "BIGMODEL_PROCESSES": str(processes),
            "BIGMODEL_PROCESS": str(i),
        }
        for i in range(processes)
    ]
    _run(subject, name, {"config": config, "workdir": str(subject.folder / name)}, environments)


def check(subject, law: str) -> Finding:
    """What a law finds in a process that has several pretended CPU devices.

    Raises:
        DoesNotApply: it said so there.
    """
    folder = subject.folder / f"{law}-in-a-child"
    folder.mkdir()
    task = {"config": subject.config, "law": law, "folder": str(folder), "steps": subject.total}
    _run(subject, law, task, [pretended(PRETENDED)])
    answer = json.loads((folder / "answer.json").read_text())
    if "does_not_apply" in answer:
        raise DoesNotApply(answer["does_not_apply"])
    return Finding(**answer)


def pretended(count: int) -> dict[str, str]:
    """The environment of a process with so many CPU devices."""
    flags = os.environ.get("XLA_FLAGS", "")
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", flags)
    flags = f"{flags} --xla_force_host_platform_device_count={count}".strip()
    return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}


def _run(subject, name: str, task: Mapping, environments, expected: int = 0) -> None:
    file = subject.folder / f"{name}.json"
    file.write_text(json.dumps({**task, "data_dir": subject.data_dir}))
    command = [sys.executable, "-m", "bigmodel_jax.verifying.child", str(file)]
    path = os.pathsep.join(filter(None, sys.path))  # a config's own modules are found there, too
    with contextlib.ExitStack() as stack:
        logs = [
            stack.enter_context(open(file.with_suffix(f".{i}.log"), "w+b"))
            for i, _ in enumerate(environments)
        ]
        processes = [
            subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": path, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            for environment, log in zip(environments, logs, strict=True)
        ]
        try:
            codes = [process.wait() for process in processes]
        finally:
            for process in processes:
                process.kill()
        if any(code != expected for code in codes):
            log = next(log for log, code in zip(logs, codes, strict=True) if code != expected)
            log.seek(0)
            said = log.read().decode(errors="replace").splitlines()[-SHOWN:]
            raise UserError(f"A process of this law ended with {codes}:\n" + "\n".join(said))


def _train(task: Mapping[str, Any]) -> None:
    from bigmodel_jax import processes, train
    from bigmodel_jax.verifying import killed

    kill = task.get("kill", 0)
    preemption = killed.Kill(kill, Path(task["workdir"]) / "checkpoints") if kill else None
    with processes.joined({"config": task["config"]}):
        train.train(
            task["config"], task["workdir"], data_dir=task["data_dir"], preemption=preemption
        )


def _check(task: Mapping[str, Any]) -> None:
    from bigmodel_jax.verifying.laws import module
    from bigmodel_jax.verifying.subject import Subject

    folder = Path(task["folder"])
    subject = Subject(task["config"], task["data_dir"], folder, task["steps"])
    try:
        answer = module(task["law"]).check(subject)._asdict()
    except DoesNotApply as reason:
        answer = {"does_not_apply": str(reason)}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    _check(given) if "law" in given else _train(given)
