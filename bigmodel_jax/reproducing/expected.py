"""configs/NAME.expected.json: what a config gave, by variant, and all that is known of how.

metric      "test/accuracy": an evaluator and one of its numbers
values      of each seed; mean and std (of the sample, where there are several) follow from them
command     with SEED for the seed, where there are several
minutes     of each run, beginning to end
device, date
versions, commit, data (name, fingerprint)
machine     what a run says of it: devices, cpu_cores, processor, processes, python, platform; results
            of before 2026-11-29 lack it, and nothing is made up for them
"""

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.reproducing.running import Outcome

SUFFIX = ".expected.json"
# Of environment.json.
MACHINE = ("devices", "cpu_cores", "processor", "processes", "python", "platform")
# Kinds of metrics: how they are multiplied and rounded for people, and their unit. Others are shares.
KINDS = {"loss": (1, 4, ""), "bleu": (1, 2, "")}


class Expected(NamedTuple):
    """A result: that of a variant of a config."""

    config: Path
    variant: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """As in --config=configs/NAME: "mnist.py:mlp"."""
        return f"{self.config.name}:{self.variant}"

    @property
    def values(self) -> list[float]:
        return list(self.content["values"].values())

    @property
    def minutes(self) -> float:
        """Of a run, the mean."""
        return statistics.mean(self.content["minutes"])

    def arg(self, seed: int) -> str:
        """What stands behind the colon of the command's --config."""
        found = re.search(r"--config=\S+?\.py:(\S+)", self.content["command"])
        assert found, self.content["command"]
        return re.sub(r"\bseed=\w+", f"seed={seed}", found[1])

    def shown(self, value: float) -> str:
        """A value of the metric in the unit of tables: percent, or a loss as it is."""
        scale, digits, unit = self._kind
        return f"{scale * value:.{digits}f}{unit}"

    def spread(self) -> str:
        """Mean and standard deviation as tables and docstrings state them: "92.43 +- 0.01"."""
        scale, digits, _ = self._kind
        text = f"{scale * self.content['mean']:.{digits}f}"
        if "std" in self.content:
            return f"{text} +- {scale * self.content['std']:.{digits}f}"
        return f"{text} (one seed)"

    @property
    def _kind(self) -> tuple[int, int, str]:
        return KINDS.get(self.content["metric"].rpartition("/")[2], (100, 2, " %"))


def file_of(config: Path) -> Path:
    """The file of results beside a config."""
    return config.with_name(config.name.removesuffix(".py") + SUFFIX)


def read(config: Path) -> list[Expected]:
    """The results of a config; none where it has no file of them."""
    file = file_of(config)
    if not file.is_file():
        return []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} cannot be read: {error}.") from error
    return [Expected(config, variant, result) for variant, result in content.items()]


def every(folder: Path) -> Iterator[Expected]:
    """The results of all configs in a folder."""
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        yield from read(file.with_name(file.name.removesuffix(SUFFIX) + ".py"))


def find(config: Path, variant: str) -> list[Expected]:
    """The result of a variant; of all, for "".

    Raises:
        UserError: there is none.
    """
    known = read(config)
    chosen = [result for result in known if variant in ("", result.variant)]
    if not chosen:
        near = nearest(variant, [result.variant for result in known])
        raise UserError(f"{file_of(config)} has no result of {variant or 'any variant'!r}.{near}")
    return chosen


def entry(metric: str, command: str, outcomes: Sequence[Outcome], date: str) -> dict[str, Any]:
    """A result of runs of several seeds, as it is written.

    Raises:
        UserError: they are of other code, data or versions than one another, or of code that nobody
            can have again.
    """
    last = outcomes[-1]
    for what in ("commit", "packages", "devices"):
        if len({json.dumps(x.environment[what]) for x in outcomes}) > 1:
            raise UserError(f"The runs to record differ in their {what}: make them anew.")
    if any(x.environment["diff"] or not x.environment["commit"] for x in outcomes):
        raise UserError(
            "The runs to record are of changes that are not committed: commit them first."
        )
    if len({x.fingerprint for x in outcomes}) > 1:
        raise UserError("The runs to record are of different data: make them anew.")
    environment, values = last.environment, {str(x.seed): round(x.value, 6) for x in outcomes}
    mean, several = statistics.mean(values.values()), len(values) > 1
    packages = environment["packages"]
    return {
        "metric": metric,
        "values": values,
        "mean": mean,
        **({"std": statistics.stdev(values.values())} if several else {}),
        "command": command,
        "minutes": [round(x.minutes, 1) for x in outcomes],
        "device": _device(environment),
        "date": date,
        "versions": {k: v for k, v in packages.items() if k != "bigmodel_jax" and v},
        "commit": environment["commit"],
        "data": {"name": last.about["data"], "fingerprint": last.fingerprint},
        "machine": {key: environment[key] for key in MACHINE if key in environment},
    }


def _device(environment: Mapping) -> str:
    """In words: "2 cores of an AMD EPYC 9R14, CPU", "8 NVIDIA H200"."""
    kinds = environment["devices"]
    if kinds[0] != "cpu":
        return f"{len(kinds)} {kinds[0]}"
    processor = environment.get("processor")
    return f"{environment['cpu_cores']} cores{f' of {processor}' if processor else ''}, CPU"


def write(config: Path, variant: str, result: Mapping[str, Any]) -> Path:
    """Adds a result to the file of a config, or puts it in the place of the old one."""
    file = file_of(config)
    content = {x.variant: x.content for x in read(config)} | {variant: dict(result)}
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return file
