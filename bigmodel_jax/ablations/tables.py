"""The tables of several runs: what each variant measures, and how it differs from the baseline."""

from collections.abc import Mapping, Sequence

from bigmodel_jax import writers
from bigmodel_jax.ablations import energy, statistics
from bigmodel_jax.ablations.results import Groups
from bigmodel_jax.ablations.statistics import SEEDS, Repeats
from bigmodel_jax.errors import UserError
from bigmodel_jax.reports.make import number
from bigmodel_jax.reports.page import Link, Note, Paragraph, Part, Table
from bigmodel_jax.reports.recorded import Run

LEVEL = f"{100 * statistics.LEVEL:.0f} %"


def summaries(groups: Groups, metric: str, repeats: Repeats = SEEDS) -> Table:
    """A row a variant: seeds, mean, standard deviation, interval, and the value of each seed, or fold."""
    seeds = sorted({seed for group in groups.values() for seed in group})
    rows = []
    for variant, group in groups.items():
        cells = [
            Link(number(group[s].values[metric]), group[s].report) if s in group else "–"
            for s in seeds
        ]
        if not group:
            rows.append([variant, "0", "–", "–", "–", *cells])
            continue
        found = statistics.summarise([result.values[metric] for result in group.values()], repeats)
        interval = "–" if found.low is None else f"{number(found.low)} to {number(found.high)}"
        about = [str(found.count), number(found.mean), number(found.std), interval]
        rows.append([variant, *about, *cells])
    noun = repeats.noun
    each = [f"{noun} {s}" for s in seeds]
    header = ["variant", f"{noun}s", "mean", "std", f"{LEVEL} interval", *each]
    return Table(header, rows, numbers=True)


def differences(groups: Groups, metric: str, baseline: str, repeats: Repeats = SEEDS) -> list[Part]:
    """Each variant against the baseline, seed by seed, with what may be said of it.

    Variants with fewer than two seeds in common with it are listed and not tested.
    """
    values = {
        variant: {seed: result.values[metric] for seed, result in group.items()}
        for variant, group in groups.items()
    }
    found: dict[str, statistics.Difference] = {}
    untested: dict[str, str] = {}
    for variant in (v for v in values if v != baseline):
        try:
            found[variant] = statistics.paired(values[variant], values[baseline], repeats)
        except UserError as error:
            untested[variant] = str(error)
    if not found:
        why = next(iter(untested.values()), "There is nothing to compare.")
        return [Paragraph(f"Not tested. {why}")]
    several = len(found) > 1
    corrected = statistics.holm([difference.p for difference in found.values()])
    columns = ["difference", f"{LEVEL} interval", *["p", "p corrected"][: 1 + several]]
    rows = []
    for (variant, difference), p in zip(found.items(), corrected, strict=True):
        interval = f"{_signed(difference.low)} to {_signed(difference.high)}"
        ps = [_p(difference.p), _p(p)][: 1 + several]
        words = statistics.in_words(difference, p, repeats)
        rows.append([variant, _signed(difference.mean), interval, *ps, words])
    noun, shared = repeats.noun, ""
    if repeats.overlap:
        shared = " Folds share what they learn from, for which the interval and p are corrected (Nadeau and Bengio 2003)."
    missing = ["–"] * len(columns)
    rows += [[variant, *missing, f"not tested: fewer than 2 {noun}s"] for variant in untested]
    correction = f", corrected by Holm's method for {len(found)} comparisons" if several else ""
    sentence = (
        f"Against {baseline}, {noun} by {noun}: the mean difference in {metric}, its {LEVEL} interval, and p "
        f"of a paired t-test{correction}. Few {noun}s find large differences only: no evidence of one is not "
        f"evidence of none.{shared}"
    )
    header = ["variant", *columns, "in words"]
    return [Paragraph(sentence), Table(header, rows, numbers=True)]


def not_comparable(why: Mapping[str, str], baseline: str) -> list[Part]:
    """A note on each variant that is left out of the comparison, by results.comparable."""
    return [Note(f"{v} is not comparable with {baseline}: {reason}.") for v, reason in why.items()]


def others(groups: Groups, metric: str) -> list[Part]:
    """Mean and standard deviation of the other metrics that all runs have, folded away; not by class."""
    results = [result for group in groups.values() for result in group.values()]
    common = set.intersection(*(set(result.values) for result in results)) if results else set()
    kept = common - {metric}
    names = [n for n in results[0].values if n in kept and n.count("/") == 1] if results else []
    if not names:
        return []
    variants = [variant for variant, group in groups.items() if group]
    rows = []
    for name in names:
        found = [
            statistics.summarise([r.values[name] for r in groups[v].values()]) for v in variants
        ]
        rows.append(
            [
                name,
                *(
                    number(s.mean) + (f" ± {number(s.std)}" if s.std is not None else "")
                    for s in found
                ),
            ]
        )
    summary = "All metrics: mean ± standard deviation"
    return [Table(["metric", *variants], rows, numbers=True, summary=summary)]


def costs(
    groups: Groups, flops: Mapping[str, float | None], used: Mapping[str, Sequence[Mapping]]
) -> list[Part]:
    """What a run of each variant takes: parameters, steps, time, products, energy.

    Args:
        flops: of a step, by variant; None where they are not known.
        used: what energy.metered told of each run, by variant.
    """
    rows, why, metered = [], "", False
    for variant, group in ((v, g) for v, g in groups.items() if g):
        runs = [result.run for result in group.values()]
        seconds = [run.seconds for run in runs]
        spread = (
            f" ({writers.clock(min(seconds))} to {writers.clock(max(seconds))})"
            if len(runs) > 1
            else ""
        )
        steps = sorted({_steps(run) for run in runs})
        counted = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
        mean = sum(seconds) / len(seconds)
        parameters = runs[0].about.get("parameters")
        size = f"{parameters:,}" if parameters else "–"
        time = f"{writers.clock(mean)}{spread}{runs[0].shared}"
        each = flops.get(variant)
        products = f"{each * sum(map(_steps, runs)) / len(runs):.3g}" if each else "–"
        told = used.get(variant, ())
        joules = [value for value in map(energy.total, told) if value is not None]
        metered |= bool(joules)
        why = why or next((one["why"] for one in told if "why" in one), "")
        spent = f"{sum(joules) / len(joules) / 1000:,.2f}" if joules else "–"
        rows.append([variant, size, counted, time, products, spent])
    header = ["variant", "parameters", "steps", "time of the steps", "FLOPs", "energy, kJ"]
    sentences = ["FLOPs are of the products of a run's steps, counted in their program."]
    if metered:
        sentences.append(
            "The energy is the mean of what this machine's counters saw while a run went on, from its start to "
            "its end: whatever else ran is in it."
        )
    if why:
        sentences.append(
            f"The energy of {'some runs' if metered else 'the runs'} is not known: {why}."
        )
    return [Table(header, rows, numbers=True), Paragraph(" ".join(sentences))]


def _steps(run: Run) -> int:
    return max((row["step"] for row in run.rows), default=0)


def changes(variants: Mapping[str, Mapping], keys: Sequence[str], values: Mapping) -> Table:
    """What each variant sets, beside what the config says itself."""
    rows = [["the config", *(values.get(key, "–") for key in keys)]]
    rows += [[name, *(given.get(key, "·") for key in keys)] for name, given in variants.items()]
    return Table(["variant", *keys], rows)


def _signed(value: float) -> str:
    return f"{value:+.4f}" if abs(value) < 1000 else f"{value:+,.0f}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
