"""Times k seeds of the article's network, 784-128-10 on MNIST, as one program against k runs.

    python benchmarks/stacked_seeds.py --data_dir=FOLDER     # prepared by bigmodel_jax.prepare mnist

Both as `ablate` runs them, with and without --stacked, from reading the data to the reports, in this
process, with no compiled program kept from before: configs/mnist.py:mlp, shortened to --steps. Single
runs and programs take turns. A step is timed by what the runs have logged, but for their first log. A
ratio is k times the median of the single runs over the program. Seconds of the CPU, over all threads, say
more than those of the clock where the machine is busy.
"""

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Took(NamedTuple):
    """From start to end, in seconds of the clock and of the CPU; and a step of all seeds, in ms."""

    clock: float
    cpu: float
    step: float


def once(seeds: int, steps: int, data_dir: str) -> Took:
    """So many seeds as one program; 0 is an ordinary run."""
    import jax

    from bigmodel_jax.ablations import stacked
    from bigmodel_jax.config import complete
    from bigmodel_jax.reports import recorded
    from bigmodel_jax.train import train
    from configs import mnist

    config = complete(mnist.get_config("mlp").to_dict())
    config |= {"duration": f"{steps} steps", "log_every": f"{steps // 10} steps"}
    log, begun, used = io.StringIO(), time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(log):
        paths = [Path(folder) / str(seed) for seed in range(max(seeds, 1))]
        if seeds:
            members = [
                stacked.Member({**config, "seed": seed}, path, log)
                for seed, path in enumerate(paths)
            ]
            if errors := stacked.train(members, data_dir):
                raise errors[min(errors)]
        else:
            train(config, str(paths[0]), data_dir=data_dir)
        clock, cpu = time.perf_counter() - begun, time.process_time() - used
        rows = [r for r in recorded.load(paths[0]).rows if "train/steps_per_second" in r]
    jax.clear_caches()
    step = 1e3 / statistics.median(r["train/steps_per_second"] for r in rows[1:])
    name = f"{seeds} seeds as one program" if seeds else "a single run"
    print(f"{name}: {clock:.1f} s, {cpu:.1f} s of the CPU, {step:.2f} ms a step", flush=True)
    return Took(clock, cpu, step)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", required=True)
    parser.add_argument(
        "--steps", type=int, default=9280, help="a multiple of 320; 938 are an epoch"
    )
    parser.add_argument("--singles", type=int, default=5, help="how many are really run")
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 5, 20))
    flags = parser.parse_args()
    os.environ["BIGMODEL_COMPILATION_CACHE"] = "off"
    sys.path.insert(0, str(Path(__file__).parent.parent))  # configs is no part of the package
    programs, singles = {}, []
    for i in range(max(flags.singles, len(flags.seeds))):
        if i < flags.singles:
            singles.append(once(0, flags.steps, flags.data_dir))
        if i < len(flags.seeds):
            programs[flags.seeds[i]] = once(flags.seeds[i], flags.steps, flags.data_dir)
    single = Took(*(statistics.median(values) for values in zip(*singles, strict=True)))
    print(f"{'ratio of':10}{'clock':>8}{'CPU':>8}{'step':>8}")
    for k, took in programs.items():
        ratios = [k * one / all_of_them for one, all_of_them in zip(single, took, strict=True)]
        print(f"{k:2} seeds  {''.join(f'{ratio:8.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
