"""What TensorBoard shows besides scalars: texts, histograms, pictures, precision-recall curves."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.reports import painted
from bigmodel_jax.trees import flatten

BUCKETS = 40  # of a histogram
CURVES = 10  # classes with a precision-recall curve


def evaluation(board, step: int, name: str, details: Mapping[str, Any]) -> None:
    """The confusion matrix and whatever is a picture, a precision-recall curve a class, the mistakes.

    Args:
        board: a tensorboardX SummaryWriter.
        name: of the evaluator, with the prefix of generated data.
        details: as an evaluator leaves them; what is not there is not shown.
    """
    names = list(details.get("label_names", ()))
    if "confusion_matrix" in details:
        from bigmodel_jax.reports.plots import confusion, style

        counts = np.array(details["confusion_matrix"])
        title = f"{name}, step {step:,} (n = {counts.sum():,})"
        image = style.pixels(confusion.plot(counts, names, title))
        board.add_image(f"{name}/confusion_matrix", image, step, dataformats="HWC")
    for key, picture in painted.pictures(details).items():
        board.add_image(f"{name}/{key}", picture, step, dataformats="HWC")
    scores, labels = details.get("probabilities"), details.get("labels")
    if scores is not None and labels is not None and len(names) <= CURVES:
        for c in [1] if labels.ndim == 1 and len(names) == 2 else range(len(names)):
            truth = labels == c if labels.ndim == 1 else labels[:, c] > 0.5
            board.add_pr_curve(f"{name}/precision_recall/{names[c]}", truth, scores[:, c], step)
    if details.get("mistakes"):
        lines = [_mistake(mistake) for mistake in details["mistakes"]]
        board.add_text(f"{name}/mistakes", "\n\n".join(lines), step)


def _mistake(mistake):
    sure = f" with {mistake['probability']:.4f}" if "probability" in mistake else ""
    head = f"#{mistake['index']}: {mistake['label']}, predicted {mistake['predicted']}{sure}"
    return head + "".join(f"\n\n    {line}" for line in mistake.get("text", "").splitlines())


@jax.jit
def distributions(params) -> dict[str, dict[str, jax.Array]]:
    """{path: smallest, largest, sum, sum of squares, counts [BUCKETS]} of the parameters.

    Computed where they live, so that no more than this is fetched; every process must call it.
    """
    floats = {k: x for k, x in flatten(params).items() if jnp.issubdtype(x.dtype, jnp.floating)}
    return {path: _distribution(x.astype(jnp.float32)) for path, x in floats.items()}


def _distribution(x):
    low, high = x.min(), x.max()
    width = jnp.maximum(high - low, jnp.finfo(jnp.float32).tiny)
    place = jnp.clip(((x - low) / width * BUCKETS).astype(jnp.int32), 0, BUCKETS - 1)
    counts = jnp.bincount(place.ravel(), length=BUCKETS)
    return dict(low=low, high=high, sum=x.sum(), squares=jnp.square(x).sum(), counts=counts)


def histograms(board, step: int, prefix: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes what `distributions` found."""
    for path, row in jax.device_get(found).items():
        low, high = float(row["low"]), float(row["high"])
        board.add_histogram_raw(
            f"{prefix}params/{path}",
            min=low,
            max=high,
            num=int(row["counts"].sum()),
            sum=float(row["sum"]),
            sum_squares=float(row["squares"]),
            bucket_limits=np.linspace(low, high, BUCKETS + 1)[1:].tolist(),
            bucket_counts=row["counts"].tolist(),
            global_step=step,
        )
