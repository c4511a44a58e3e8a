"""Runs a command in several processes on this machine, as a cluster would on several.

    python launch/local.py --processes=2 [--devices_per_process=4] [--dry_run] -- \\
        --config=configs/imdb.py:lstm,strict --workdir=runs/two

The processes find each other through JAX's coordination service on a free local port. Process 0's
output is shown, the others' only if they fail. It ends with the first exit code that is not 0, and
a signal goes on to all.
"""

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument(
        "--devices_per_process", type=int, default=1, help="pretended CPU devices of each process"
    )
    parser.add_argument("--dry_run", action="store_true", help="print the commands, run nothing")
    parser.add_argument("arguments", nargs="+", help="of bigmodel_jax.main, after --")
    options = parser.parse_args()

    command = [sys.executable, "-m", "bigmodel_jax.main", *options.arguments]
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    settings = [
        {
            "BIGMODEL_COORDINATOR": address,
            "BIGMODEL_PROCESSES": str(options.processes),
            "BIGMODEL_PROCESS": str(i),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={options.devices_per_process}",
        }
        for i in range(options.processes)
    ]
    if options.dry_run:
        for setting in settings:
            print(" ".join(f"{k}={v}" for k, v in setting.items()), shlex.join(command))
        return 0

    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **setting},
            stdout=None if i == 0 else subprocess.PIPE,
            stderr=None if i == 0 else subprocess.STDOUT,
            text=True,
        )
        for i, setting in enumerate(settings)
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: [p.send_signal(number) for p in processes])
    outputs = [p.communicate()[0] for p in processes]
    for i, (process, output) in enumerate(zip(processes, outputs, strict=True)):
        if process.returncode and output:
            print(f"process {i}:\n{output}", file=sys.stderr)
    return next((p.returncode for p in processes if p.returncode), 0)


if __name__ == "__main__":
    sys.exit(main())
