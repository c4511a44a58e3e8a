"""Times whole training steps of our text models against PyTorch's, side by side.

    python benchmarks/text_models.py                     # all; needs the extra [parity]
    python benchmarks/text_models.py --model=textcnn

    lstm         10,000 words in 256 dimensions, an LSTM of 128 read at its end
    bilstm       25,000 in 100, an LSTM of 256 in both directions, the maximum over time
    textcnn      25,000 in 128, 128 features of windows of 3, 4 and 5, dropout 0.5
    transformer  25,000 in 128, 4 pre-norm layers of 4 heads, the mean over time

A step is forward, backward and Adam on a batch of 32 texts of 256 tokens, to two classes. Every
contestant is a process of its own; they take turns, some steps each, so that a noisy neighbour
meets all of them, and are stopped between their turns, so that no idle thread spins beside
another's turn. "As a user runs it" means PyTorch with the system's allocator and our commands with
the tuned one, which they give themselves (bigmodel_jax/runtime.py); "both tuned" gives it to both.
A ratio is PyTorch's time over ours: above 1 we are faster. "As shipped" is what configs/imdb.py
does, bfloat16 operands and float32 sums, against PyTorch's default, float32. Below each table stand
both sides' parameters and losses after 5 steps, by which to see that they do the same work.
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

import numpy as np

from bigmodel_jax.runtime import TUNED_ALLOCATOR

BATCH, LENGTH, WARM_UP = 32, 256, 5
# Our config.model; the same in PyTorch; steps a turn.
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "lstm": (
        {"name": "lstm", "vocabulary_size": 10_000, "width": 256, "hidden": 128},
        {"vocabulary": 10_000, "width": 256, "hidden": 128},
        5,
    ),
    "bilstm": (
        {
            "name": "lstm",
            "vocabulary_size": 25_000,
            "width": 100,
            "hidden": 256,
            "bidirectional": True,
            "pooling": "max",
        },
        {"vocabulary": 25_000, "width": 100, "hidden": 256, "bidirectional": True},
        2,
    ),
    "textcnn": (
        {
            "name": "textcnn",
            "vocabulary_size": 25_000,
            "width": 128,
            "features": 128,
            "sizes": (3, 4, 5),
            "dropout": 0.5,
        },
        {"vocabulary": 25_000, "width": 128, "features": 128, "sizes": (3, 4, 5), "dropout": 0.5},
        5,
    ),
    "transformer": (
        {
            "name": "transformer",
            "vocabulary_size": 25_000,
            "width": 128,
            "num_layers": 4,
            "num_heads": 4,
        },
        {"vocabulary": 25_000, "width": 128, "num_layers": 4, "num_heads": 4, "length": LENGTH},
        2,
    ),
}
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


class Ours:
    """Our model under optax's Adam in one donated update."""

    def __init__(self, fields, tokens, labels, precision):
        import functools

        import flax.linen as nn
        import jax
        import jax.numpy as jnp
        import optax

        from bigmodel_jax import config

        dtype = jnp.dtype(precision)
        model = config.build("models", {**fields, "num_classes": 2, "dtype": dtype})
        optimizer = optax.adam(1e-3)
        mask = np.ones(tokens.shape, bool)

        def loss_of(params, key, tokens, mask, labels):
            rngs = {"dropout": key}
            logits: Any = model.apply(params, tokens, mask, train=True, rngs=rngs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        @functools.partial(jax.jit, donate_argnums=0)
        def update(state, *batch):  # an argument, as in a run: a constant mask would vanish
            params, slots, step = state
            key = jax.random.fold_in(jax.random.key(2), step)
            loss, gradient = jax.value_and_grad(loss_of)(params, key, *batch)
            updates, slots = optimizer.update(gradient, slots)
            return (optax.apply_updates(params, updates), slots, step + 1), loss

        self.batch = jax.device_put((tokens, mask, labels))
        params: Any = nn.unbox(model.init(jax.random.key(1), *self.batch[:2]))
        self.parameters = sum(x.size for x in jax.tree.leaves(params))
        self.state, self.update = (params, optimizer.init(params), jnp.zeros((), jnp.int32)), update

    def run(self, steps: int) -> float:
        """The loss of the last of `steps` steps."""
        for _ in range(steps):
            self.state, self.loss = self.update(self.state, *self.batch)
        return float(self.loss)


def make(model: str, contestant: str, precision: str):
    """A contestant in this process, on the same random batch as all others."""
    rng = np.random.default_rng(0)
    ours, theirs, _ = MODELS[model]
    tokens = rng.integers(0, ours["vocabulary_size"], (BATCH, LENGTH))
    labels = np.arange(BATCH) % 2
    if contestant == OURS:
        return Ours(ours, tokens.astype(np.int32), labels, precision)
    from text_models_torch import Contestant

    compiled = contestant == "torch.compile"
    return Contestant(model, theirs, tokens, labels, precision, compiled)


def worker(model: str, contestant: str, precision: str) -> None:
    """Warms up, then answers each line "steps" on stdin with its ms per step.

    A turn begins with a step that is not timed: the turns before it emptied the caches.
    """
    runner = make(model, contestant, precision)
    loss = runner.run(WARM_UP)
    print(json.dumps({"parameters": runner.parameters, "loss": round(loss, 3)}), flush=True)
    for line in sys.stdin:
        runner.run(1)
        start = time.perf_counter()
        runner.run(int(line))
        print(1e3 * (time.perf_counter() - start) / int(line), flush=True)


def start(model: str, contestant: str, precision: str, allocator: str) -> subprocess.Popen:
    """Starts a contestant's process in an environment of its own."""
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if allocator == "tuned":
        env["GLIBC_TUNABLES"] = TUNED_ALLOCATOR
    flags = [f"--worker={contestant}", f"--model={model}", f"--precision={precision}"]
    command = [sys.executable, __file__, *flags]
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


def measure(model: str, rounds: int) -> tuple[dict[Key, float], dict[Key, dict]]:
    """The median over rounds of ms per step, and what each contestant says of itself."""
    keys: list[Key] = []
    for _, ours, theirs, allocator in SETTINGS:
        keys += [(OURS, ours, "tuned"), *((name, theirs, allocator) for name in PEERS)]
    processes, words, times = {}, {}, {key: [] for key in keys}
    try:
        for key in times:  # one after the other: they compile
            processes[key] = start(model, *key)
            words[key] = ask(processes[key])
        for _ in range(rounds):
            for key, process in processes.items():
                times[key].append(float(ask(process, str(MODELS[model][2]))))
    finally:  # also after Control-C: a stopped process would stay
        for process in processes.values():
            process.kill()
            process.wait()
    return {key: statistics.median(values) for key, values in times.items()}, words


def rows(model: str, medians: dict[Key, float]) -> list[dict]:
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=list(MODELS), help="one of them; all by default")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contestant")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--worker", choices=[OURS, *PEERS], help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.worker:
        worker(flags.model, flags.worker, flags.precision)
        return
    for model in [flags.model] if flags.model else MODELS:
        medians, words = measure(model, flags.rounds)
        table = rows(model, medians)
        if flags.json:
            for row in table:
                print(json.dumps(row), flush=True)
            continue
        head = f"{'model':13}{'setting':19}{'ours':10}{'peer':24}"
        print(f"{head}{'ours ms':>9}{'peer ms':>9}{'ratio':>7}")
        for row in table:
            print(
                f"{row['model']:13}{row['setting']:19}{row['ours']:10}{row['peer']:24}"
                f"{row['ours_ms']:9.1f}{row['peer_ms']:9.1f}{row['ratio']:7.2f}"
            )
        for name in (OURS, *PEERS):
            said = [v for key, v in words.items() if key[0] == name]
            losses = ", ".join(str(v["loss"]) for v in said)
            print(f"{name}: {said[0]['parameters']:,} parameters; losses {losses}")
        print(flush=True)


if __name__ == "__main__":
    main()
