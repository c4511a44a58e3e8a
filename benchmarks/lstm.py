"""Times a whole training step of the article's LSTM against PyTorch's, side by side.

    python benchmarks/lstm.py            # about a minute on 2 cores; needs the extra [parity]

The network is an embedding of 10,000 words in 256 dimensions, an LSTM of 128, a dense layer to two
classes; the step is forward, backward and Adam on a batch of 32 texts of 256 tokens. Every
contestant is a process of its own; they take turns, some steps each, so that a noisy neighbour
meets all of them, and are stopped between their turns, so that no idle thread spins beside
another's turn. "As a user runs it" means PyTorch with the system's allocator and our commands with
the tuned one, which they give themselves (bigmodel_jax/runtime.py); "tuned" gives it to both. A
ratio is PyTorch's time over ours: above 1 we are faster. "As shipped" is what configs/imdb.py:lstm
does, bfloat16 operands and float32 sums, against PyTorch's default, float32.

On 2 cores of an AMD EPYC (2026-11-22, one of six runs; README.md has the spread):

    setting            ours      peer                      ours ms  peer ms  ratio
    as shipped         bfloat16  torch eager float32          33.1     59.5   1.80
    as shipped         bfloat16  torch.compile float32        33.1     55.8   1.68
    as a user runs it  float32   torch eager float32          44.4     59.5   1.34
    as a user runs it  float32   torch.compile float32        44.4     55.8   1.26
    both tuned         float32   torch eager float32          44.4     36.4   0.82
    both tuned         float32   torch.compile float32        44.4     36.5   0.82
    as a user runs it  bfloat16  torch eager bfloat16         33.1     46.7   1.41
    as a user runs it  bfloat16  torch.compile bfloat16       33.1     44.8   1.35
    both tuned         bfloat16  torch eager bfloat16         33.1     27.0   0.82
    both tuned         bfloat16  torch.compile bfloat16       33.1     26.6   0.80
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

from bigmodel_jax.runtime import TUNED_ALLOCATOR

VOCABULARY, WIDTH, HIDDEN, BATCH, LENGTH = 10_000, 256, 128, 32, 256
PRECISIONS = ("float32", "bfloat16")
ALLOCATORS = ("default", "tuned")


def ours(precision: str):
    """Our Model under optax's Adam in one donated update; returns `run(steps)`."""
    import functools

    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import optax

    from bigmodel_jax.models.lstm import Model

    model = Model(VOCABULARY, 2, width=WIDTH, hidden=HIDDEN, dtype=jnp.dtype(precision))
    optimizer = optax.adam(1e-3)
    tokens = jax.random.randint(jax.random.key(0), (BATCH, LENGTH), 0, VOCABULARY)
    mask = jnp.ones((BATCH, LENGTH), bool)
    labels = jnp.arange(BATCH) % 2

    def loss_of(params, tokens, mask, labels):
        logits: Any = model.apply(params, tokens, mask, train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state, *batch):  # an argument, as in a run: a constant mask would be optimised away
        params, slots = state
        loss, gradient = jax.value_and_grad(loss_of)(params, *batch)
        updates, slots = optimizer.update(gradient, slots)
        return (optax.apply_updates(params, updates), slots), loss

    params: Any = nn.unbox(model.init(jax.random.key(1), tokens, mask))
    state = params, optimizer.init(params)

    def run(steps):
        nonlocal state
        for _ in range(steps):
            state, loss = update(state, tokens, mask, labels)
        loss.block_until_ready()

    return run


def torchs(precision: str, compiled: bool):
    """The same network and step in PyTorch as users write it; returns `run(steps)`."""
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(VOCABULARY, WIDTH)
            self.lstm = nn.LSTM(WIDTH, HIDDEN, batch_first=True)
            self.head = nn.Linear(HIDDEN, 2)

        def forward(self, tokens):
            return self.head(self.lstm(self.embed(tokens))[0][:, -1])

    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    tokens = torch.randint(0, VOCABULARY, (BATCH, LENGTH))
    labels = torch.arange(BATCH) % 2
    forward = torch.compile(model) if compiled else model

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = nn.functional.cross_entropy(forward(tokens), labels)
            loss.backward()
            optimizer.step()

    return run


CONTESTANTS = {
    "ours": ours,
    "torch eager": lambda precision: torchs(precision, compiled=False),
    "torch.compile": lambda precision: torchs(precision, compiled=True),
}


def worker(name: str, precision: str) -> None:
    """One contestant: warms up, then answers each line "steps" on stdin with its ms per step.

    A turn begins with a step that is not timed: the turns before it emptied the caches.
    """
    run = CONTESTANTS[name](precision)
    run(3)
    print("ready", flush=True)
    for line in sys.stdin:
        run(1)
        start = time.perf_counter()
        run(int(line))
        print(1e3 * (time.perf_counter() - start) / int(line), flush=True)


def start(name: str, precision: str, allocator: str) -> subprocess.Popen:
    """Starts a contestant's process in an environment of its own."""
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if allocator == "tuned":
        env["GLIBC_TUNABLES"] = TUNED_ALLOCATOR
    command = [sys.executable, __file__, f"--worker={name}", f"--precision={precision}"]
    return subprocess.Popen(
        command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def ask(process: subprocess.Popen, line: str = "") -> str:
    """Wakes a contestant, sends it a line, where there is one, and stops it after its answer."""
    process.send_signal(signal.SIGCONT)
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    answer = process.stdout.readline().strip()
    if not answer:
        sys.exit(f"A contestant stopped: {process.args}")
    process.send_signal(signal.SIGSTOP)
    return answer


def measure(rounds: int, steps: int) -> dict[tuple[str, str, str], float]:
    """The median over rounds of ms per step, by contestant, precision and allocator."""
    keys = [(n, p, a) for p in PRECISIONS for a in ALLOCATORS for n in CONTESTANTS]
    processes, times = {}, {key: [] for key in keys}
    try:
        for key in keys:  # one after the other: they compile
            processes[key] = start(*key)
            ask(processes[key])
        for _ in range(rounds):
            for key, process in processes.items():
                times[key].append(float(ask(process, str(steps))))
    finally:  # also after Control-C: a stopped process would stay
        for process in processes.values():
            process.kill()
            process.wait()
    return {key: statistics.median(values) for key, values in times.items()}


# (setting, our precision, theirs, their allocator); configs/imdb.py:lstm computes in bfloat16.
SETTINGS = (
    ("as shipped", "bfloat16", "float32", "default"),
    ("as a user runs it", "float32", "float32", "default"),
    ("both tuned", "float32", "float32", "tuned"),
    ("as a user runs it", "bfloat16", "bfloat16", "default"),
    ("both tuned", "bfloat16", "bfloat16", "tuned"),
)


def rows(medians: dict[tuple[str, str, str], float]) -> list[dict]:
    """Each PyTorch contestant with its ratio to ours, in each setting."""
    table = []
    for setting, precision, theirs, allocator in SETTINGS:
        mine = medians["ours", precision, "tuned"]
        for name in ("torch eager", "torch.compile"):
            peer = medians[name, theirs, allocator]
            row = {"setting": setting, "ours": precision, "peer": f"{name} {theirs}"}
            table.append({**row, "ours_ms": mine, "peer_ms": peer, "ratio": round(peer / mine, 2)})
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contestant")
    parser.add_argument("--steps", type=int, default=5, help="training steps a turn")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--worker", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=PRECISIONS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.worker:
        worker(flags.worker, flags.precision)
        return
    table = rows(measure(flags.rounds, flags.steps))
    if flags.json:
        print(json.dumps(table, indent=2))
        return
    print(f"{'setting':19}{'ours':10}{'peer':24}{'ours ms':>9}{'peer ms':>9}{'ratio':>7}")
    for row in table:
        print(
            f"{row['setting']:19}{row['ours']:10}{row['peer']:24}"
            f"{row['ours_ms']:9.1f}{row['peer_ms']:9.1f}{row['ratio']:7.2f}"
        )


if __name__ == "__main__":
    main()
