"""Contestants that take turns: how the benchmarks time one thing against another.

Every contestant is a process of its own; they take turns, some steps each, so that a noisy neighbour
meets all of them, and are stopped between their turns, so that no idle thread spins beside another's
turn. "As a user runs it" means PyTorch with the system's allocator and our commands with the tuned
one, which they give themselves (bigmodel_jax/runtime.py); "both tuned" gives it to both. "As shipped"
is what the configs do, bfloat16 operands and float32 sums, against PyTorch's default, float32. A ratio
is PyTorch's time over ours: above 1 we are faster.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bigmodel_jax.runtime import TUNED_ALLOCATOR

WARM_UP = 5
OURS, PEERS = "ours", ("torch eager", "torch.compile")

# (setting, our precision, theirs, their allocator); ours is always the tuned one.
SETTINGS = (
    ("as shipped", "bfloat16", "float32", "default"),
    ("as a user runs it", "float32", "float32", "default"),
    ("both tuned", "float32", "float32", "tuned"),
    ("as a user runs it", "bfloat16", "bfloat16", "default"),
    ("both tuned", "bfloat16", "bfloat16", "tuned"),
)
Key = tuple[str, str, str]  # contestant, precision, allocator


def worker(runner: Any) -> None:
    """Warms a contestant up, then answers each line "steps" on stdin with its ms per step.

    A turn begins with a step that is not timed: the turns before it emptied the caches.

    Args:
        runner: has `parameters`, how many, and `run(steps) -> the loss of the last of them`.
    """
    loss = runner.run(WARM_UP)
    print(json.dumps({"parameters": runner.parameters, "loss": round(loss, 3)}), flush=True)
    for line in sys.stdin:
        runner.run(1)
        start = time.perf_counter()
        runner.run(int(line))
        print(1e3 * (time.perf_counter() - start) / int(line), flush=True)


def start(script: str, model: str, key: Key) -> subprocess.Popen:
    """Starts a contestant's process, of the benchmark `script`, in an environment of its own."""
    contestant, precision, allocator = key
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if allocator == "tuned":
        env["GLIBC_TUNABLES"] = TUNED_ALLOCATOR
    flags = [f"--worker={contestant}", f"--model={model}", f"--precision={precision}"]
    command = [sys.executable, script, *flags]
    return subprocess.Popen(
        command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def ask(process: subprocess.Popen, line: str = "") -> Any:
    """Wakes a contestant, sends it a line, where there is one, and stops it after its answer."""
    process.send_signal(signal.SIGCONT)
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"A contestant stopped: {process.args}")
    process.send_signal(signal.SIGSTOP)
    return json.loads(answer)


def measure(
    script: str, model: str, steps: int, rounds: int
) -> tuple[dict[Key, float], dict[Key, dict]]:
    """The median over rounds of ms per step, and what each contestant says of itself.

    Args:
        steps: in a turn.
    """
    keys: list[Key] = []
    for _, ours, theirs, allocator in SETTINGS:
        keys += [(OURS, ours, "tuned"), *((name, theirs, allocator) for name in PEERS)]
    processes, words, times = {}, {}, {key: [] for key in keys}
    try:
        for key in times:  # one after the other: they compile
            processes[key] = start(script, model, key)
            words[key] = ask(processes[key])
        for _ in range(rounds):
            for key, process in processes.items():
                times[key].append(float(ask(process, str(steps))))
    finally:  # also after Control-C: a stopped process would stay
        for process in processes.values():
            process.kill()
            process.wait()
    return {key: statistics.median(values) for key, values in times.items()}, words


def rows(model: str, medians: Mapping[Key, float]) -> list[dict]:
    """Each PyTorch contestant with its ratio to ours, in each setting."""
    table = []
    for setting, precision, theirs, allocator in SETTINGS:
        mine = medians[OURS, precision, "tuned"]
        for name in PEERS:
            peer = medians[name, theirs, allocator]
            row = {"model": model, "setting": setting, "ours": precision}
            row |= {"peer": f"{name} {theirs}", "ours_ms": mine, "peer_ms": peer}
            table.append({**row, "ratio": round(peer / mine, 2)})
    return table


def show(table: Sequence[Mapping], words: Mapping[Key, Mapping]) -> None:
    """Prints the rows, and below them both sides' parameters and losses after the warm-up."""
    head = f"{'model':16}{'setting':19}{'ours':10}{'peer':24}"
    print(f"{head}{'ours ms':>9}{'peer ms':>9}{'ratio':>7}")
    for row in table:
        print(
            f"{row['model']:16}{row['setting']:19}{row['ours']:10}{row['peer']:24}"
            f"{row['ours_ms']:9.1f}{row['peer_ms']:9.1f}{row['ratio']:7.2f}"
        )
    for name in (OURS, *PEERS):
        said = [v for key, v in words.items() if key[0] == name]
        losses = ", ".join(str(v["loss"]) for v in said)
        print(f"{name}: {said[0]['parameters']:,} parameters; losses {losses}")
    print(flush=True)


def main(parser: Any, script: str, models: Mapping[str, Any], make: Any, steps: Any) -> None:
    """The command line of a benchmark.

    Args:
        parser: an ArgumentParser; gets --model, --rounds and --json.
        models: by name.
        make: `(model, contestant, precision) -> a runner`, see `worker`.
        steps: `model -> steps in a turn`.
    """
    parser.add_argument("--model", choices=list(models), help="one of them; all by default")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contestant")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--worker", choices=[OURS, *PEERS], help="a contestant's own process")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="of that")
    flags = parser.parse_args()
    if flags.worker:
        worker(make(flags.model, flags.worker, flags.precision))
        return
    for model in [flags.model] if flags.model else models:
        medians, words = measure(script, model, steps(model), flags.rounds)
        table = rows(model, medians)
        if flags.json:
            print(*map(json.dumps, table), sep="\n", flush=True)
        else:
            show(table, words)
