"""Times the whole training loop of the article's network, 784-128-10, against PyTorch's, side by side.

    python benchmarks/mnist_loop.py          # needs the extra [parity]

Batches of 64 out of 60,000 images as MNIST's, SGD with momentum, everything that a loop does besides:
order, batches, losses fetched now and then. Ours are configs/mnist.py's parts as bigmodel_jax/train.py
puts them together, with 32 steps in a dispatch and with one; PyTorch's are a DataLoader of a
TensorDataset, as the articles have it, and a loop over shuffled indices of tensors in memory.
How they take turns: benchmarks/contest.py. A ratio is PyTorch's time over ours of 32 steps a dispatch.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import contest
import numpy as np

BATCH, IMAGES = 64, 60_000
OURS = ("ours, 32 steps a dispatch", "ours, 1 step a dispatch")
PEERS = ("torch, DataLoader", "torch, tensors in memory")
STEPS = 960  # a turn: about an epoch


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of MNIST's shapes, of which nothing can be learnt but by heart."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 28, 28), np.uint8)
    return images, rng.integers(0, 10, IMAGES).astype(np.int64)


class Ours:
    """The loop of bigmodel_jax/train.py on a source whose images lie on the device."""

    def __init__(self, repeat: int):
        import jax

        from bigmodel_jax import experiment, sharding, steps
        from bigmodel_jax.config import complete

        sys.path.insert(0, str(Path(__file__).parent.parent))  # configs is no part of the package
        from configs import mnist

        config = complete(mnist.get_config("mlp").to_dict())
        config["repeat"] = repeat
        self._folder = tempfile.TemporaryDirectory()
        images, labels = data()
        path = Path(self._folder.name) / "digits.npz"
        np.savez(path, images=images, labels=labels)
        config["data"] |= {
            "reader": {"name": "image_files", "path": str(path)},
            "splits": {"train": "train"},
            "workers": 1,
        }
        config["evals"] = {}
        mesh = sharding.make_mesh(config["mesh"])
        with sharding.use(mesh, config["rules"]):
            plan = experiment.make_plan(config, self._folder.name, mesh)
            self.state = experiment.fresh_state(plan)
        source = plan.source
        step = steps.counted(plan.step)
        step = steps.repeat(repeat, step) if repeat > 1 else step
        self._update = jax.jit(step.update, donate_argnums=0)
        make = jax.vmap(source.assemble, (None, 0)) if repeat > 1 else source.assemble
        self._assemble = jax.jit(make, out_shardings=sharding.rows(mesh, stacked=repeat > 1))
        self._store = sharding.replicate(source.store(), mesh)
        self._rng, self._repeat = jax.random.key(0), repeat
        self._source, self._mesh, self._done = source, mesh, 0
        self.parameters = sum(x.size for x in jax.tree.leaves(self.state.params))

    def run(self, count: int) -> float:
        """The mean loss of the last dispatch of `count` steps or more."""
        import jax

        from bigmodel_jax import sharding
        from bigmodel_jax.data.prefetch import Prefetch

        count = -(-count // self._repeat) * self._repeat

        def place(batch):
            return sharding.put(batch, self._mesh, stacked=self._repeat > 1)

        rows = []
        first, last = self._done, self._done + count
        with Prefetch(self._source.batch, place, first, last, self._repeat) as batches:
            for batch in batches:
                batch = self._assemble(self._store, batch)
                self.state, row = self._update(self.state, batch, self._rng)
                rows.append(row["loss"])
                jax.block_until_ready(rows[-3:-2])
        self._done = last
        found = jax.device_get(rows)
        return float(np.mean(found[-1].total / found[-1].weight))


class Torch:
    """The article's loop."""

    def __init__(self, loader: bool):
        import torch

        images, labels = data()
        self._x = (torch.from_numpy(images).float().reshape(IMAGES, -1) / 255 - 0.5) / 0.3
        self._y = torch.from_numpy(labels)
        layers = torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
        self._model = torch.nn.Sequential(*layers)
        self._optimizer = torch.optim.SGD(self._model.parameters(), 0.01, 0.9)
        self._loss = torch.nn.CrossEntropyLoss()
        self.parameters = sum(p.numel() for p in self._model.parameters())
        self._batches = self._loaded() if loader else self._in_memory()

    def _loaded(self):
        import torch

        held = torch.utils.data.TensorDataset(self._x, self._y)
        loader = torch.utils.data.DataLoader(held, BATCH, shuffle=True)
        while True:
            yield from loader

    def _in_memory(self):
        import torch

        while True:
            for index in torch.randperm(IMAGES).split(BATCH):
                yield self._x[index], self._y[index]

    def run(self, count: int) -> float:
        """The loss of the last of `count` steps."""
        for _ in range(count):
            x, y = next(self._batches)
            self._optimizer.zero_grad()
            loss = self._loss(self._model(x), y)
            loss.backward()
            self._optimizer.step()
        return loss.item()


def make(name: str):
    """A contestant in this process."""
    if name in OURS:
        return Ours(32 if name == OURS[0] else 1)
    return Torch(loader=name == PEERS[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contestant")
    parser.add_argument("--worker", choices=[*OURS, *PEERS], help="a contestant's own process")
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.worker:
        contest.worker(make(flags.worker))
        return
    keys = [(name, "float32", "tuned" if name in OURS else "default") for name in (*OURS, *PEERS)]
    processes, words = {}, {}
    times: dict[contest.Key, list[float]] = {key: [] for key in keys}
    try:
        for key in keys:
            processes[key] = contest.start(__file__, "mlp", key)
            words[key] = contest.ask(processes[key])
        for _ in range(flags.rounds):
            for key, process in processes.items():
                times[key].append(float(contest.ask(process, str(STEPS))))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    medians = {key[0]: statistics.median(values) for key, values in times.items()}
    print(f"{'loop':28}{'us a step':>10}{'images/s':>11}{'ratio':>7}{'parameters':>12}")
    for key in keys:
        ms = medians[key[0]]
        ratio = ms / medians[OURS[0]]
        parameters = words[key]["parameters"]
        print(f"{key[0]:28}{1e3 * ms:10.0f}{1e3 * BATCH / ms:11,.0f}{ratio:7.2f}{parameters:12,}")


if __name__ == "__main__":
    main()
