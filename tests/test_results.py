"""Results that are stated are results that were measured: expected.json, docstrings, README agree."""

import importlib
import re
import statistics
from pathlib import Path

import pytest

from bigmodel_jax.reproducing import expected, table

ROOT = Path(__file__).parent.parent
RESULTS = list(expected.every(ROOT / "configs"))
BEFORE_MACHINES = "2026-11-28"  # the last date of results that lack "machine"


def named(results):
    return pytest.mark.parametrize("result", results, ids=lambda x: x.name)


def test_there_are_results():
    assert RESULTS


@named(RESULTS)
def test_a_result_is_whole_and_its_summary_follows_from_its_values(result):
    content = result.content
    assert content["mean"] == pytest.approx(statistics.mean(result.values), abs=1e-9)
    if len(result.values) > 1:
        assert content["std"] == pytest.approx(statistics.stdev(result.values), abs=1e-9)
    assert ("std" in content) == (len(result.values) > 1)
    keys = ["metric", "command", "device", "date", "minutes", "versions", "commit", "data"]
    for key in (*keys, *(["machine"] if content["date"] > BEFORE_MACHINES else [])):
        assert content[key], key
    assert content["data"].keys() == {"name", "fingerprint"}
    assert re.fullmatch(rf"{result.variant}\S*,seed=7", result.arg(7))
    module = importlib.import_module(f"configs.{result.config.stem}")
    module.get_config(result.arg(7))  # the variant is there


@named(RESULTS)
def test_the_docstring_states_the_measured_numbers(result):
    docstring = importlib.import_module(f"configs.{result.config.stem}").__doc__
    stated = result.spread()
    assert any(result.variant in x and stated in x for x in docstring.splitlines()), stated


def test_the_table_of_the_readme_is_that_of_the_files():
    page = (ROOT / "README.md").read_text()
    assert table.filled(page, RESULTS) == page, f"run {table.BEGIN.strip('<!-> ')[9:]}"
    assert table.filled(page, RESULTS[1:]) != page
