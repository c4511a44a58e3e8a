"""Makes a run's plots/, report.md and report.html from its directory alone."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import config as configs
from bigmodel_jax import rundir, writers
from bigmodel_jax.data import encoding
from bigmodel_jax.reports import calibrations, filters, painted, recorded, sliced
from bigmodel_jax.reports.page import (
    Code,
    Figure,
    Heading,
    Note,
    Paragraph,
    Part,
    Quote,
    Table,
    to_html,
    to_markdown,
)  # fmt: skip
from bigmodel_jax.reports.plots import curves, evaluations, pictures, style
from bigmodel_jax.reports.recorded import Run


def make(workdir: str | Path) -> Path:
    """Writes plots/*.png, report.md and report.html; the path of the last.

    Raises:
        UserError: `workdir` is no run.
    """
    run = recorded.load(workdir)
    plots = run.path / "plots"
    plots.mkdir(exist_ok=True)

    def picture(name: str, alt: str, figure: Any) -> Figure:
        file = re.sub(r"[^\w.-]+", "_", name) + ".png"
        rundir.replace(plots / file, style.png(figure))
        return Figure(f"plots/{file}", alt, style.svg(figure, name, alt))

    parts = [*_opening(run), *_results(run), *_learning(run, picture)]
    parts += [*_samples(run, picture), *_painted(run, picture), *_filters(run, picture)]
    for name, result in run.results.items():
        parts += _evaluation(run, name, result, picture)
    parts += [*_config(run), *_environment(run)]
    title = f"{run.config['model'].get('name', 'model')} on {run.data} ({run.path.name})"
    rundir.replace(run.path / "report.md", to_markdown(title, parts))
    rundir.replace(run.path / "report.html", to_html(title, parts))
    return run.path / "report.html"


def _opening(run: Run) -> list[Part]:
    parts: list[Part] = []
    if run.generated:
        why = f" {run.about['substitute']}" if run.about.get("substitute") else ""
        parts.append(
            Note(
                f"NOTE: generated data. Every number below is of {run.data}, not of real data.{why}"
            )
        )
    elif run.about.get("substitute"):
        parts.append(Note(f"NOTE: {run.about['substitute']}"))
    last = max((row["step"] for row in run.rows), default=0)
    per_epoch = run.about.get("steps_per_epoch")
    split = run.config["data"].get("splits", {}).get("train")
    examples = run.about.get("train_examples")
    of = [f"{examples:,} examples"] if examples else []
    of += [split] if split else []
    count = run.about.get("parameters")
    devices = run.environment.get("devices", [])
    kinds = {kind: devices.count(kind) for kind in devices}
    on = ", ".join(f"{n} {kind} device{'s' * (n > 1)}" for kind, n in kinds.items())
    cores = run.environment.get("cpu_cores")
    cores = f" ({cores} cores)" if cores and set(kinds) == {"cpu"} else ""
    began = str(run.about.get("began", "")).replace("T", " ").replace("+00:00", " UTC")
    sentences = [
        f"A model of kind {run.config['model'].get('name')}"
        + (f" with {count:,} parameters" if count else "")
        + f", trained on {run.data}"
        + (f" ({', '.join(of)})" if of else "")
        + f" for {last:,} steps"
        + (f" of {run.about['batch_size']}" if "batch_size" in run.about else "")
        + (f" ({last / per_epoch:.4g} epochs)" if per_epoch else "")
        + (f", which took {writers.clock(run.seconds)}{run.shared}" if run.seconds else "")
        + (f", on {on}{cores}" if on else "")
        + (f"; begun {began}" if began else "")
        + "."
    ]
    if chosen := next((r["chosen"] for r in run.results.values()), ""):
        sentences.append(f"The results are those of the parameters of {chosen}.")
    total = run.about.get("steps", last)
    if last < total and not run.results:
        sentences.append(f"The run is not finished: {last:,} of {total:,} steps.")
    parts.append(Paragraph(" ".join(sentences)))
    if command := run.environment.get("command"):
        name = Path(command[0]).stem
        if name != "main":
            return parts
        parts.append(Paragraph("To repeat it:"))
        parts.append(Code(shlex.join(["python", "-m", "bigmodel_jax.main", *command[1:]])))
    return parts


def _results(run: Run) -> list[Part]:
    """A column a split: what the evaluators said at the chosen step, and at the end."""
    columns: dict[str, dict[str, float]] = {}
    for name in (n for n in run.during if n not in run.results):
        if row := run.said(name):
            found = {k.partition("/")[2]: v for k, v in row.items() if k.startswith(f"{name}/")}
            columns[f"{name} (step {row['step']:,})"] = found
    columns |= {name: result["metrics"] for name, result in run.results.items()}
    if not columns:
        return []
    names = list(dict.fromkeys(key for column in columns.values() for key in column))
    main, others = [k for k in names if "/" not in k], [k for k in names if "/" in k]
    parts: list[Part] = [Heading("Results")]
    classes = any("label_names" in result for result in run.results.values())
    for keys, summary in ((main, ""), (others, "Each class" if classes else "In detail")):
        rows = [[k, *(number(column.get(k)) for column in columns.values())] for k in keys]
        if rows:
            parts.append(Table(["metric", *columns], rows, numbers=True, summary=summary))
    return parts


def number(value: float | None) -> str:
    """A metric in four digits behind the point, or four in all where it is large."""
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def _learning(run: Run, picture) -> list[Part]:
    watched = run.config.get("early_stopping", {}).get("metric")
    found = curves.series(run.rows, run.during, watched)
    if not found:
        return []
    per_epoch = [r["step"] / r["train/epoch"] for r in run.rows if r.get("train/epoch")]
    parts: list[Part] = [Heading("Learning")]
    for metric, lines in found.items():
        best = run.best if any(where != "train" for where in lines) else None
        figure = curves.plot(metric, lines, per_epoch[-1] if per_epoch else 0, best)
        alt = f"{metric} of {', '.join(lines)} over the steps"
        parts.append(picture(f"{metric}", alt, figure))
    return parts


def _samples(run: Run, picture) -> list[Part]:
    """What the network sees: images of the first step, transformed."""
    file = run.path / "assets" / "samples.npz"
    if not file.is_file():
        return []
    with np.load(file) as held:
        images, labels = held["image"], held["label"]
    names = encoding.load_labels(run.path / "assets")
    shown = style.legible(list(names))
    figure = pictures.plot(images, [shown[i] for i in labels], "Training images")
    alt = "Images of the first training step with their labels"
    return [Heading("What the network sees"), picture("samples", alt, figure)]


def _painted(run: Run, picture) -> list[Part]:
    """What an evaluator painted last."""
    parts: list[Part] = []
    for (name, key), (step, pixels) in painted.newest(run.path).items():
        figure = pictures.whole(pixels, f"{name}: {key} of step {step:,}")
        parts.append(picture(f"{name}-{key}", f"{key} that {name} painted", figure))
    return [Heading("What it paints"), *parts] if parts else []


def _filters(run: Run, picture) -> list[Part]:
    """What its first layer looks for."""
    file = run.path / "assets" / "filters.npz"
    if not file.is_file():
        return []
    with np.load(file) as held:
        found, numbers, total = filters.as_images(held["filter"]), held["number"], held["total"]
    which = f"the {len(found)} with the largest norm, of {total}" if len(found) < total else "all"
    figure = pictures.plot(found, list(map(str, numbers)), f"Filters of the first layer ({which})")
    return [
        Heading("What the first layer looks for"),
        Paragraph(
            "Each on a scale of its own. Gray is a weight of 0; where a filter is bright a bright pixel "
            "raises its answer, where it is dark a dark one does."
        ),
        picture("filters", "The weights of each filter of the first layer", figure),
    ]


def _evaluation(run: Run, name: str, result: Mapping, picture) -> list[Part]:
    parts: list[Part] = [Heading(f"{name}: {result.get('examples', 0):,} examples")]
    file = run.path / "results" / f"{name}.npz"
    arrays: dict[str, np.ndarray] = {}
    if file.is_file():
        with np.load(file) as held:
            arrays = dict(held)
    names = [str(n) for n in result.get("label_names", ())]
    for key, alt, figure in evaluations.figures(name, names, result, arrays):
        parts.append(picture(f"{name}-{key}", alt, figure))
    parts += [Paragraph(word) for word in evaluations.left_out(names, arrays)]
    shown = style.legible(names) if names else []
    if shown != names:
        rows = [[short, full] for short, full in zip(shown, names, strict=True)]
        parts.append(Table(["in the figures", "class"], rows, summary="Names of the classes"))
    parts += [*_confused(names, result, arrays), *sliced.tables(result)]
    parts += calibrations.parts(result)
    if not arrays:
        split = run.config["evals"].get(name, {}).get("split", name)
        command = ["python", "-m", "bigmodel_jax.{}", f"--workdir={run.path}"]
        parts.append(
            Paragraph(
                f"The other curves and the mistakes need what the model said of each example: "
                f"results/{name}.npz, which this run lacks. These commands make it, and this report "
                "anew:"
            )
        )
        lines = [
            shlex.join(command).replace("'", "").format("evaluate")
            + f" --split={shlex.quote(split)}",
            shlex.join(command).replace("'", "").format("report"),
        ]
        parts.append(Code("\n".join(lines)))
    return parts + _mistakes(name, result, arrays, picture)


def _confused(names, result, arrays) -> list[Part]:
    counts = evaluations.confusion_of(names, result, arrays)
    if counts is None or len(names) < 3:
        return []
    pairs = evaluations.confusion.most_confused(counts)
    rows = [[names[a], names[b], f"{n:,}", f"{100 * share:.1f}%"] for a, b, n, share in pairs]
    header = ["label", "predicted", "examples", "of that label"]
    return [Paragraph("The most frequent confusions:"), Table(header, rows)] if rows else []


def _mistakes(name, result, arrays, picture) -> list[Part]:
    found = result.get("mistakes")
    if found is None:
        return []
    if not found:
        return [Paragraph(f"There is no mistake on {name}.")]
    parts: list[Part] = [Heading(f"The {len(found)} most confident mistakes on {name}")]
    if "mistaken" in arrays:
        captions = [f"{m['predicted']}, not {m['label']}" for m in found]
        figure = pictures.plot(arrays["mistaken"], captions, f"Mistakes on {name}")
        parts.append(picture(f"{name}-mistakes", f"The images mistaken on {name}", figure))
    for i, mistake in enumerate(found):
        label, predicted = mistake["label"], mistake["predicted"]
        if "probability" in mistake:
            said = f"{predicted} with {mistake['probability']:.4f}, labelled {label}"
        else:
            said = f"{number(predicted)}, where {number(label)} is true"
        parts.append(
            Quote(
                f"{i + 1}. Predicted {said} (example {mistake['index']:,})", mistake.get("text", "")
            )
        )
    return parts


def _config(run: Run) -> list[Part]:
    rows = []
    for line in configs.differences(configs.DEFAULTS, run.config):
        key, _, values = line.partition(": ")
        value = values.partition(" -> ")[2]
        if value != '"(absent)"':  # a key that this run is older than
            rows.append([key, value])
    parts: list[Part] = [Heading("Config"), Paragraph("What differs from the defaults:")]
    parts.append(Table(["key", "value"], rows))
    return [*parts, Code(configs.to_json(run.config), summary="The whole config, resolved")]


def _environment(run: Run) -> list[Part]:
    found = run.environment
    rows = [["data", run.data], ["fingerprint", run.config["data"].get("fingerprint", "–")]]
    rows += [[f"split {k}", v] for k, v in run.config["data"].get("splits", {}).items()]
    rows += [
        [key, str(found[key])] for key in ("python", "platform", "cpu_cores") if found.get(key)
    ]
    rows += [["devices", ", ".join(found["devices"])]] if found.get("devices") else []
    rows += [
        [k, v] for k, v in {**found.get("packages", {}), **found.get("variables", {})}.items() if v
    ]
    if found.get("commit"):
        changed = " with uncommitted changes (in environment.json)" if found.get("diff") else ""
        rows.append(["commit", f"{found['commit']}{changed}"])
    return [Heading("Data and environment"), Table(["", ""], rows)]
