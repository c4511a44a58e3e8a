"""Classification that starts from naive-Bayes log-count ratios (Wang and Manning 2012).

"Baselines and Bigrams: Simple, Good Sentiment and Topic Classification" found that a linear model
over features scaled by their log-count ratios is hard to beat on sentiment. The ratios are counted
in one pass over the training part, before the first step.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import jax
import numpy as np

from bigmodel_jax.errors import UserError
from bigmodel_jax.steps import Variables
from bigmodel_jax.tasks import classify


class Task(classify.Task):
    """Classification by a model with naive_bayes=True, such as models/bag.py.

    Args:
        alpha: added to every count, so that a feature seen with one class only has a finite ratio.
        min_count: features in fewer training texts than this get the ratio 0, which takes them out
            of the model, as those never seen always are. One seen once gives away the label of its
            text, so that the model fits the training part by what it never sees again.
        loss, label_smoothing, class_weights: see tasks/classify.py.
    """

    def __init__(
        self,
        model: Any,
        alpha: float = 1.0,
        min_count: int = 1,
        loss: str = "softmax",
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | Literal["balanced"] | None = None,
    ):
        super().__init__(model, loss, label_smoothing, class_weights)
        if not getattr(model, "naive_bayes", False):
            raise UserError(
                "config.task is nb_classify, whose model must have naive_bayes=True; this one has "
                "not. Set config.model.naive_bayes=True (models/bag.py) or take the task classify."
            )
        if alpha <= 0:
            raise UserError(f"config.task.alpha is {alpha}; it must be more than 0.")
        self.alpha, self.min_count = alpha, min_count

    def fit(self, variables: Variables, batches: Iterable[dict[str, np.ndarray]]) -> Variables:
        """`variables` with the ratios of `batches`, one epoch of the training part.

        Takes memory of 12 bytes for each class and bucket, next to the ratios themselves.
        """
        variables = super().fit(variables, batches)
        features = jax.jit(self.model.features)
        buckets, classes = np.shape(variables["naive_bayes"]["ratios"])
        counts = np.zeros((classes, buckets), np.int32)
        for batch in batches:
            ids, counted, _ = jax.device_get(features(batch["tokens"], batch["mask"]))
            counted = counted & batch["valid"][:, None]
            labels = np.broadcast_to(batch["label"][:, None], ids.shape)
            np.add.at(counts, (labels[counted], ids[counted]), 1)
        ratios = log_count_ratios(counts, self.alpha)
        ratios[:, counts.sum(0) < max(self.min_count, 1)] = 0.0
        return {**variables, "naive_bayes": {"ratios": np.ascontiguousarray(ratios.T)}}


def log_count_ratios(counts: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """Log-count ratios of each class against the rest, float32 [classes, vocabulary].

    With f(d) in {0, 1}^V the features of text d, and for a class c the smoothed counts
    p = alpha + sum of f(d) over the texts of c and q = alpha + the same sum over all others:

        r_c = log((p / |p|_1) / (q / |q|_1))

    which for two classes is the paper's r, with its sign turned for class 0.

    Args:
        counts: texts of each class that hold each feature, [classes, vocabulary].
        alpha: the smoothing, more than 0.
    """
    total = counts.sum(0, dtype=np.int64)
    ratios = np.empty(counts.shape, np.float32)
    for ratio, own in zip(ratios, counts, strict=True):
        p, q = own + float(alpha), total - own + float(alpha)
        ratio[:] = np.log(p) - np.log(q) - (np.log(p.sum()) - np.log(q.sum()))
    return ratios
