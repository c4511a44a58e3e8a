"""What a validation split taught about the probabilities of another, before and after, as a table."""

from collections.abc import Mapping

from bigmodel_jax.reports.page import Paragraph, Part, Table

ON = "calibrated on "  # before a split's name, in results/NAME.json


def found(result: Mapping) -> dict[str, Mapping]:
    """What evals/calibration.py said, by the split that it was chosen on."""
    return {k.removeprefix(ON): v for k, v in result.items() if k.startswith(ON)}


def parts(result: Mapping) -> list[Part]:
    """A sentence and a table for each such split."""
    told: list[Part] = []
    for split, numbers in found(result).items():
        at = f"temperature {numbers['temperature']:.4g}"
        rows = [[name, *_pair(numbers[name]), at] for name in ("ece", "loss")]
        for by in ("accuracy", "f1"):
            if by in numbers:
                after = f"threshold {numbers[f'threshold for {by}']:.4g}, not 0.5"
                rows.append([by, *_pair(numbers[by]), after])
        told.append(Paragraph(f"Chosen on {split}, and applied here:"))
        told.append(Table(["metric", "as it is", "then", "with"], rows, numbers=True))
    return told


def _pair(values):
    return [f"{value:.4f}" for value in values]
