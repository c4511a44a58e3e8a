"""What the pages say is so: their examples train, their links and commands lead somewhere."""

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from bigmodel_jax.data import builders, prepared
from bigmodel_jax.train import train

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PYTHON = re.compile(r"```python\n# (?P<path>\S+\.py)\n(?P<code>.*?)```", re.DOTALL)
SHELL_PYTHON = re.compile(r"^python - <<'END'\n(.*?)^END$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)")


def examples(page):
    """{path: code} of the whole files that a page shows."""
    text = (ROOT / "docs" / page).read_text()
    return {match["path"]: match["code"] for match in PYTHON.finditer(text)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The working folder of a reader of extend.md, who has followed the tutorial so far."""
    path = tmp_path_factory.mktemp("reader")
    for name, code in examples("extend.md").items():
        file = path / name if "/" in name else path / "builders" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.syspath_prepend(path)
        patch.setattr(builders, "__path__", [*builders.__path__, str(path / "builders")])
        for page in ("tutorial.md", "extend.md"):  # messages.csv, then messages.db
            exec(SHELL_PYTHON.search((ROOT / "docs" / page).read_text())[1], {})
        yield path
    for name in [n for n in sys.modules if n.split(".")[0] == "mine"]:
        del sys.modules[name]


def run(config_name, arg, data_dir):
    """(final state, results of the test split, all metrics) of three steps of a page's config."""
    config = importlib.import_module(f"mine.{config_name}").get_config(arg)
    config.duration = "3 steps"
    if "path" in config.data:
        config.data.path = "messages.csv"
    workdir = Path("runs") / config_name
    state = train(config.to_dict(), str(workdir), data_dir=data_dir)
    assert int(state.step) == 3
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    results = json.loads((workdir / "results" / "test.json").read_text())
    return state, results, {key: value for row in rows for key, value in row.items()}


def test_the_examples_are_under_thirty_lines():
    for path, code in examples("extend.md").items():
        assert len([line for line in code.splitlines() if line.strip()]) < 30, path


def test_the_model_of_the_page_trains(folder, data_dir):
    state, results, _ = run("train_convolution", "lstm,tiny", data_dir)
    assert {"embed", "convolution_3", "convolution_5", "head"} <= set(state.params)
    assert results["examples"] == 30


def test_padding_changes_no_answer_of_the_model_of_the_page(folder):
    model = importlib.import_module("mine.convolution").Model(9, 3)
    tokens = np.random.default_rng(0).integers(2, 9, (4, 12))
    mask = np.arange(12) < np.array([[12], [7], [2], [0]])
    variables = model.init(jax.random.key(0), tokens, mask)
    logits = model.apply(variables, np.where(mask, tokens, 0), mask)
    for padded in (np.where(mask, tokens, 5), np.pad(tokens, ((0, 0), (0, 6)))):
        wider = np.pad(mask, ((0, 0), (0, padded.shape[1] - 12)))
        np.testing.assert_allclose(model.apply(variables, padded, wider), logits, rtol=1e-5)


def test_the_task_of_the_page_trains(folder, data_dir):
    _, results, metrics = run("train_focal", "lstm,tiny", data_dir)
    assert 0 < metrics["train/loss"] < np.log(3)  # at random, the focal loss is 2/3 of log 3
    assert np.isfinite(results["metrics"]["loss"])


def test_the_reader_of_the_page_trains(folder, data_dir):
    _, results, _ = run("train_sqlite", "lstm,tiny", data_dir)
    assert results["label_names"] == ["account", "billing", "delivery"]
    assert results["examples"] == 30


def test_the_builder_of_the_page_prepares_and_trains(folder, data_dir):
    _, new = prepared.prepare("messages", data_dir, "messages.csv")
    assert new and "messages" in builders.names()
    _, results, _ = run("train_messages", "lstm,tiny", data_dir)
    assert results["label_names"] == ["account", "billing", "delivery"]
    assert results["examples"] == 30


def test_the_evaluator_of_the_page_measures(folder, data_dir):
    _, _, metrics = run("train_calibrated", "bag,tiny", data_dir)
    assert 0 <= metrics["calibration/error"] <= 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page):
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_and_tests_of_a_page_exist(page):
    text = page.read_text()
    modules = set(re.findall(r"python -m (bigmodel_jax\.[\w.]*\w)", text))
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    configs = set(re.findall(r"(configs/\w+\.py)", text)) - {
        "configs/NAME.py",
        "configs/own_txt.py",
    }
    assert [name for name in configs if not (ROOT / name).is_file()] == []
    code = "".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))
    tests = set(re.findall(r"`(test_\w+)`", text))
    assert [name for name in tests if f"def {name}(" not in code] == []
