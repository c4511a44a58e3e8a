"""Times k seeds of the article's network, 784-128-10 on MNIST, as one program against k runs.

    python benchmarks/stacked_seeds.py --data_dir=FOLDER     # prepared by bigmodel_jax.prepare mnist

Both as `ablate` runs them, with and without --stacked, from reading the data to the reports, in this
process, with no compiled program kept from before: configs/mnist.py:mlp, shortened to --steps. Single
runs and programs take turns. "Steps" is the pace of the loop, the median of what the runs have logged
after their first log; a ratio is k times the median of the single runs over the program.
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

SEEDS = (1, 5, 20)


def once(seeds: int, steps: int, data_dir: str) -> tuple[float, float]:
    """(seconds from start to end, ms a step) of so many seeds as one program; 0 is an ordinary run."""
    import jax

    from bigmodel_jax.ablations import stacked
    from bigmodel_jax.config import complete
    from bigmodel_jax.reports import recorded
    from bigmodel_jax.train import train
    from configs import mnist

    config = complete(mnist.get_config("mlp").to_dict())
    config |= {"duration": f"{steps} steps", "log_every": f"{steps // 10} steps"}
    log, begun = io.StringIO(), time.perf_counter()
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
        seconds = time.perf_counter() - begun
        rows = [r for r in recorded.load(paths[0]).rows if "train/steps_per_second" in r]
    jax.clear_caches()
    return seconds, 1e3 / statistics.median(r["train/steps_per_second"] for r in rows[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--steps", type=int, default=9280, help="a multiple of 320; 938 are an epoch")
    parser.add_argument(
        "--singles", type=int, default=5, help="how many are really run"
    )
    flags = parser.parse_args()
    os.environ["BIGMODEL_COMPILATION_CACHE"] = "off"
    sys.path.insert(0, str(Path(__file__).parent.parent))  # configs is no part of the package
    programs, singles = {}, []
    for i in range(max(flags.singles, len(SEEDS))):
        if i < flags.singles:
            singles.append(once(0, flags.steps, flags.data_dir))
        if i < len(SEEDS):
            programs[SEEDS[i]] = once(SEEDS[i], flags.steps, flags.data_dir)
    whole, step = (statistics.median(values) for values in zip(*singles, strict=True))
    print(
        f"{len(singles)} single runs took {sum(s for s, _ in singles):.1f} s together; a step {step:.2f} ms"
    )
    print(f"{'seeds':>5}{'start to end':>15}{'ratio':>7}{'ms a step of all':>19}{'ratio':>7}")
    for k, (seconds, ms) in programs.items():
        print(f"{k:5}{seconds:13.1f} s{k * whole / seconds:7.2f}{ms:19.2f}{k * step / ms:7.2f}")


if __name__ == "__main__":
    main()
