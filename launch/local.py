"""Runs a command in several processes on this machine, as a cluster would on several.

    python launch/local.py --processes=2 [--devices_per_process=4] [--restarts=N] [--dry_run] \\
        --config=configs/imdb.py:lstm,strict --workdir=runs/two [-- more of bigmodel_jax.main's]

The processes find each other on a free local port. Process 0's output is shown, the others' only if
they fail. If one ends badly, the others do, and all start again from the last checkpoint, if restarts
are left. SIGTERM and Ctrl-C let the run save and stop; a second one ends it at once.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

import job

GRACE = 15  # seconds for the others to end by themselves after one has died
POLL = 0.1


def main() -> int:
    parser = job.parser(__doc__)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument(
        "--devices_per_process", type=int, default=1, help="pretended CPU devices of each process"
    )
    options = parser.parse_args()
    job.positive(options, "processes", "devices_per_process")
    command = [sys.executable, "-m", "bigmodel_jax.main", *job.arguments(options)]
    if options.dry_run:
        for setting in settings(options):
            print(" ".join(f"{k}={v}" for k, v in setting.items()), shlex.join(command))
        return 0
    for left in range(options.restarts, -1, -1):
        code, asked = attempt(command, settings(options))
        if code in (0, job.STOPPED) or asked or not left:
            return code
        say(f"starting all {options.processes} processes again ({left - 1} restarts left).")
    raise AssertionError("the last attempt returns")


def settings(options) -> list[dict[str, str]]:
    """The environment of each process, for a new attempt."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    return [
        {
            "BIGMODEL_COORDINATOR": address,
            "BIGMODEL_PROCESSES": str(options.processes),
            "BIGMODEL_PROCESS": str(i),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={options.devices_per_process}",
        }
        for i in range(options.processes)
    ]


def attempt(command: list[str], environments: list[dict[str, str]]) -> tuple[int, bool]:
    """(exit code of the first process that failed, or of a run that did not; whether it was asked to
    stop by a signal to this launcher)."""
    outputs = [tempfile.TemporaryFile("w+") for _ in environments]  # noqa: SIM115 - gone by itself
    processes = [
        # A session of its own: Ctrl-C must reach the launcher alone, which asks for a checkpoint.
        subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=None if i == 0 else output,
            stderr=None if i == 0 else subprocess.STDOUT,
            start_new_session=True,
        )
        for i, (environment, output) in enumerate(zip(environments, outputs, strict=True))
    ]
    asked = []

    def pass_on(number, _):
        for process in processes:
            process.send_signal(signal.SIGKILL if asked else signal.SIGTERM)
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)

    first = wait_for_failure(processes)
    if first is not None:
        code = processes[first].returncode
        cause = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        say(f"process {first} of {len(processes)} {cause}.")
        end(processes)
        for i, output in enumerate(outputs):
            if processes[i].returncode and output.seek(0, os.SEEK_END):
                output.seek(0)
                print(f"process {i}:\n{output.read()}", file=sys.stderr)
        return (128 - code if code < 0 else code), bool(asked)
    return max(p.returncode for p in processes), bool(asked)


def wait_for_failure(processes: list[subprocess.Popen]) -> int | None:
    """The first process that fails, by its index, or None when all have ended well."""
    while True:
        codes = [p.poll() for p in processes]
        bad = [i for i, code in enumerate(codes) if code not in (None, 0, job.STOPPED)]
        if bad:
            # Of several at once, one that was killed is the cause, the rest its consequence.
            return min(bad, key=lambda i: codes[i])
        if None not in codes:
            return None
        time.sleep(POLL)


def end(processes: list[subprocess.Popen]) -> None:
    """Waits for the others, which notice by themselves; kills those that do not."""
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def say(text: str) -> None:
    print(f"launch/local.py: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
