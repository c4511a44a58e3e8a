"""Evaluates a classifier: every example of a split once, its metrics exact over the whole split."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from bigmodel_jax.evals import classification_metrics, running

# A larger confusion matrix is neither read nor drawn; the arrays hold all that it says.
MOST_CLASSES_OF_MATRIX = 200


class Evaluator(running.Runner):
    """Loss, accuracy, precision, recall, F1, ROC-AUC, calibration error; the confusion matrix.

    Args:
        flips: of images: the probabilities are the mean of those of the image and of its mirror image.
        split, task, open_source, mesh, batch_size, slices: as of Runner.
    """

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 256,
        slices: Sequence[str] = (),
        flips: bool = False,
    ):
        self._flips = flips
        given: dict[str, Any] = {"split": split, "task": task, "open_source": open_source}
        super().__init__(**given, mesh=mesh, batch_size=batch_size, slices=slices)

    def compute(self, task, variables, batch):
        outputs, value = super().compute(task, variables, batch)
        if self._flips:
            mirrored = {**batch, "image": batch["image"][:, :, ::-1]}
            outputs = (outputs + task.predict(variables, mirrored)[self.output]) / 2
        return outputs, value

    def measure(self, outputs, labels, source):
        numbers, confusion = classification_metrics.compute(outputs, labels, source.label_names)
        small = len(confusion) <= MOST_CLASSES_OF_MATRIX
        return numbers, {"confusion_matrix": confusion.tolist()} if small else {}
