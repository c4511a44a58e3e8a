"""Results that are stated are results that were measured: expected.json, docstrings, README agree."""

import importlib
import json
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXPECTED = {
    (path.name.removesuffix(".expected.json"), variant): result
    for path in sorted((ROOT / "configs").glob("*.expected.json"))
    for variant, result in json.loads(path.read_text()).items()
}


def test_there_are_results():
    assert EXPECTED


@pytest.mark.parametrize("config, variant", EXPECTED)
def test_a_result_is_whole_and_its_summary_follows_from_its_values(config, variant):
    result = EXPECTED[config, variant]
    values = list(result["values"].values())
    assert result["mean"] == pytest.approx(statistics.mean(values), abs=1e-9)
    if len(values) > 1:
        assert result["std"] == pytest.approx(statistics.stdev(values), abs=1e-9)
    for key in ("metric", "command", "device", "date", "minutes", "versions", "commit", "data"):
        assert result[key], key
    module = importlib.import_module(f"configs.{config}")
    module.get_config(f"{variant},seed=1")  # the variant is there


@pytest.mark.parametrize("config, variant", EXPECTED)
def test_docstring_and_readme_state_the_measured_numbers(config, variant):
    result = EXPECTED[config, variant]
    # A loss in nats, BLEU as it is, a share in percent.
    kinds = {"loss": (1, 4), "bleu": (1, 2)}
    scale, digits = kinds.get(result["metric"].rpartition("/")[2], (100, 2))
    stated = f"{scale * result['mean']:.{digits}f}"
    stated += f" +- {scale * result['std']:.{digits}f}" if "std" in result else " (one seed)"
    docstring = importlib.import_module(f"configs.{config}").__doc__
    assert any(variant in line and stated in line for line in docstring.splitlines()), stated
    readme = (ROOT / "README.md").read_text().splitlines()
    assert any(f"`{config}.py:{variant}`" in line and stated in line for line in readme), stated
