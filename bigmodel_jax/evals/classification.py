"""Evaluates a classifier: every example of a split once, its metrics exact over the whole split."""

from bigmodel_jax.evals import classification_metrics, running

# A larger confusion matrix is neither read nor drawn; the arrays hold all that it says.
MOST_CLASSES_OF_MATRIX = 200


class Evaluator(running.Runner):
    """Loss, accuracy, precision, recall, F1, ROC-AUC, calibration error; the confusion matrix."""

    def measure(self, outputs, labels, source):
        numbers, confusion = classification_metrics.compute(outputs, labels, source.label_names)
        small = len(confusion) <= MOST_CLASSES_OF_MATRIX
        return numbers, {"confusion_matrix": confusion.tolist()} if small else {}
