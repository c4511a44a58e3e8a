"""Starts a run on Cloud TPU: asks for the TPU, brings the working tree there, runs it on all hosts.

    python launch/tpu_pod.py --type=v5litepod-16 --zone=us-west4-a --nfs=10.0.0.2:/share \\
        --config=configs/gpt2_pretrain.py --workdir=/mnt/shared/gpt2 [--slices=2] [--spot] \\
        [--restarts=N] [--keep] [--dry_run] [-- more of bigmodel_jax.main's]

A queued resource is created, and deleted when the run has ended (--keep: it stays). The hosts mount
--nfs at /mnt/shared. A TPU that is taken away (--spot) is asked for again, and the run goes on from
its checkpoint; a run that failed starts again --restarts times. Ctrl-C lets the run save and stop.
Needs gcloud, logged in, and its ssh key in the agent (ssh-add ~/.ssh/google_compute_engine).
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import job

RESOURCE = ["gcloud", "compute", "tpus", "queued-resources"]
# Of QueuedResourceState in the API tpu/v2: what still becomes ACTIVE, and what no longer does.
COMING = ("CREATING", "ACCEPTED", "PROVISIONING", "WAITING_FOR_RESOURCES", "STATE_UNSPECIFIED")
GONE = ("SUSPENDING", "SUSPENDED", "DELETING")
# The software that Google names for each generation; the Python in it is too old for this project.
RUNTIMES = {
    "v5litepod": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
    "v4": "tpu-ubuntu2204-base",
    "v3": "tpu-ubuntu2204-base",
    "v2": "tpu-ubuntu2204-base",
}
HERE = "bigmodel_jax"  # the staged tree, in the home of whoever logs in


def main() -> int:
    parser = job.parser(__doc__)
    parser.add_argument("--name", help="of the queued resource; by default that of the run")
    parser.add_argument("--type", required=True, help="accelerator type: v5litepod-16, v5p-128")
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--zone", required=True)
    parser.add_argument("--project", help="by default gcloud's own")
    parser.add_argument("--runtime_version", help="by default by --type")
    parser.add_argument("--nfs", required=True, help="SERVER:/SHARE, mounted at /mnt/shared")
    parser.add_argument("--spot", action="store_true", help="cheaper, and may be taken away")
    parser.add_argument("--keep", action="store_true", help="do not delete the TPU at the end")
    parser.add_argument("--poll", type=float, default=30, help="seconds between looks at its state")
    options = parser.parse_args()
    job.shared_workdir(options)
    job.positive(options, "slices")
    pod = Pod(options)
    if options.dry_run:
        return pod.rehearse()
    with tempfile.TemporaryDirectory() as folder:
        archive = pack(Path(folder) / "tree.tar.gz")
        try:
            return pod.train(archive)
        finally:
            if not options.keep:
                job.run(pod.delete(), check=False)


class Pod:
    """A queued resource: the commands for it, and what is done with them."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.name = options, job.name(options)
        self.where = [f"--zone={options.zone}"]
        if options.project:
            self.where.append(f"--project={options.project}")
        self.everywhere = [*self.where, "--node=all", "--worker=all", "--batch-size=all"]
        self.asked = False

    def create(self) -> list[str]:
        options = self.options
        version = options.runtime_version or RUNTIMES.get(options.type.split("-")[0])
        if version is None:
            job.fail(f"--type {options.type!r} is not known here: say its --runtime_version.")
        if options.slices > 1:
            nodes = [f"--node-count={options.slices}", f"--node-prefix={self.name}"]
        else:
            nodes = [f"--node-id={self.name}"]
        kind = [f"--accelerator-type={options.type}", f"--runtime-version={version}"]
        spot = ["--spot"] if options.spot else []
        return [*RESOURCE, "create", self.name, *self.where, *nodes, *kind, *spot]

    def describe(self) -> list[str]:
        return [*RESOURCE, "describe", self.name, *self.where, "--format=value(state.state)"]

    def delete(self) -> list[str]:
        return [*RESOURCE, "delete", self.name, *self.where, "--force", "--quiet"]

    def copy(self, archive: str) -> list[str]:
        return [*RESOURCE, "scp", archive, f"{self.name}:{HERE}.tar.gz", *self.everywhere]

    def ssh(self, command: str) -> list[str]:
        return [*RESOURCE, "ssh", self.name, *self.everywhere, f"--command={command}"]

    def install(self) -> list[str]:
        """Unpacks the tree, installs Python 3.11 and the locked packages, mounts the shared disk."""
        return self.ssh(
            " && ".join(
                [
                    f"rm -rf {HERE} && mkdir {HERE} && tar -xzf {HERE}.tar.gz -C {HERE}",
                    "python3 -m pip install --quiet --user uv",
                    f"cd {HERE} && python3 -m uv venv --quiet --python=3.11 .venv",
                    "python3 -m uv pip install --quiet --python=.venv/bin/python --editable=. 'jax[tpu]'"
                    " --constraint=requirements.lock",
                    f"sudo mkdir -p {job.MOUNT}",
                    "sudo apt-get install --yes --quiet nfs-common",
                    f"{{ mountpoint --quiet {job.MOUNT} || "
                    f"sudo mount -t nfs {shlex.quote(self.options.nfs)} {job.MOUNT}; }}",
                ]
            )
        )

    def start(self) -> list[str]:
        words = ["-m", "bigmodel_jax.main", *job.arguments(self.options)]
        words.append(f"--stopped_exit_code={job.STOPPED}")
        # The shell becomes the run, so that its number is the run's.
        return self.ssh(
            f"cd {HERE} && echo $$ > pid && PYTHONUNBUFFERED=1 exec .venv/bin/python {shlex.join(words)}"
        )

    def stop(self) -> list[str]:
        """SIGTERM to the run on the first host; JAX tells the others."""
        first = [*self.where, "--node=0", "--worker=0"]
        return [*RESOURCE, "ssh", self.name, *first, f"--command=kill -TERM $(cat {HERE}/pid)"]

    def rehearse(self) -> int:
        for command in (self.create(), self.describe(), self.copy("TREE.tar.gz"), self.install()):
            job.show(command)
        job.show(self.start())
        if not self.options.keep:
            job.show(self.delete())
        return 0

    def train(self, archive: Path) -> int:
        """Creates, waits, stages and runs, as often as need be; the run's exit code."""
        left = self.options.restarts
        while True:
            state = self.state()
            if state in GONE or state == "FAILED":
                job.run(self.delete())
                state = None
            if state is None:
                job.run(self.create())
            if not self.becomes_active():
                continue
            code = self.attempt(archive)
            if code == 0 or self.asked:
                return code
            if self.state() in GONE or code == job.STOPPED:
                print("The TPU was taken away: asking for it again.", flush=True)
            elif left:
                left -= 1
                print(f"The run failed with {code}: starting it again ({left} left).", flush=True)
            else:
                return code

    def state(self) -> str | None:
        """The state of the queued resource; None where there is none."""
        done = subprocess.run(self.describe(), capture_output=True, text=True)
        if done.returncode and "NOT_FOUND" not in done.stderr:
            job.fail(f"gcloud cannot say the state of {self.name}: {done.stderr.strip()}")
        return done.stdout.strip() or None if not done.returncode else None

    def becomes_active(self) -> bool:
        """Waits for the TPU; False where it was taken away meanwhile."""
        before = None
        while True:
            state = self.state()
            if state != before:
                print(f"{self.name} is {state}.", flush=True)
            if state == "ACTIVE":
                return True
            if state == "FAILED":
                show = shlex.join([*RESOURCE, "describe", self.name, *self.where])
                job.fail(f"The TPU {self.name} cannot be had; why says: {show}")
            if state not in COMING:
                return False
            before = state
            time.sleep(self.options.poll)

    def attempt(self, archive: Path) -> int:
        """Stages and runs; the exit code of the first host that failed, or 0."""
        for command in (self.copy(str(archive)), self.install()):
            done = job.run(command, check=False)
            if done.returncode:
                return done.returncode
        job.show(self.start())
        # A session of its own: Ctrl-C would end ssh, and leave the run alone on its hosts.
        process = subprocess.Popen(self.start(), start_new_session=True)

        def ask(number, _):
            if self.asked:
                os.killpg(process.pid, signal.SIGTERM)
                return
            self.asked = True
            subprocess.Popen(self.stop(), start_new_session=True)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ask)
        try:
            return process.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)


def pack(archive: Path) -> Path:
    """The working tree as it is, uncommitted changes too, without what git ignores."""
    listed = subprocess.run(
        [
            "git",
            "-C",
            str(job.ROOT),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        job.fail(f"{job.ROOT} is no git repository, whose files could be staged.")
    with tarfile.open(archive, "w:gz") as tar:
        for name in filter(None, listed.stdout.split("\0")):
            if (job.ROOT / name).exists():  # it may be deleted, but not committed so
                tar.add(job.ROOT / name, arcname=name)
    return archive


if __name__ == "__main__":
    sys.exit(main())
