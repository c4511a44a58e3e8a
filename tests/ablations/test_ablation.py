"""Ablations and searches of a tiny network, from the command's options to the report."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bigmodel_jax import environment, summary
from bigmodel_jax.ablations import ablation, comparing, running, searching, statistics, trials
from bigmodel_jax.ablations.config_file import ConfigFile
from bigmodel_jax.errors import UserError
from tests.test_browser import BROWSER, browse

FILE = """
from tests.strains import batch_norm

EVALS = dict(
    val=dict(name="loss", split="val", every="4 steps"),
    test=dict(name="loss", split="test", every="end"),
)

def get_config(arg=None):
    return batch_norm.config(evals=EVALS)

def get_ablations():
    return {"wrong": {"optimizer.lr": float("nan")}}
"""
DIFF = ["slow: optimizer.lr=0.001"]


def options(**changes):
    asked = dict(
        grid=[], zip=[], diff=[], space=[], seeds=1, folds=0, baseline="", metric="", processes=1
    )
    asked |= dict(search=None, trials=None, prune=True, retry=False, allow_changed_code=False)
    asked |= dict(stacked=False, dry_run=False, only_trial=None)
    return SimpleNamespace(**{**asked, **changes})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "tiny.py"
    path.write_text(FILE)
    found: dict = {}
    exec(FILE, found)
    return ConfigFile(str(path), found["get_config"](), {})


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without a page for each trial, which takes longer than it; code may be edited meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "_report", lambda run: None)
        patch.setattr(environment, "stated", lambda: {})
        yield


@pytest.fixture(scope="module")
def whole(file, quick, tmp_path_factory):
    """The directory of an ablation that nobody disturbed."""
    workdir = tmp_path_factory.mktemp("whole")
    ablation.perform(file, workdir, options(diff=DIFF, seeds=2), str(workdir / "data"))
    return workdir


def accuracies(workdir, variant):
    results = sorted((workdir / "trials" / variant).glob("seed-*/results/test.json"))
    return [json.loads(path.read_text())["metrics"]["accuracy"] for path in results]


def test_the_report_holds_the_means_of_the_runs_and_leads_to_each(whole):
    text = (whole / "report.md").read_text()
    for variant in ("baseline", "slow"):
        values = [
            json.loads(line)["val/accuracy"]
            for seed in (0, 1)
            for line in (whole / f"trials/{variant}/seed-{seed}/metrics.jsonl")
            .read_text()
            .splitlines()
            if '"step": 12' in line and "val/accuracy" in line
        ]
        row = next(line for line in text.splitlines() if line.startswith(f"| {variant} | 2 |"))
        assert f"| {np.mean(values):.4f} | {statistics.summarise(values).std:.4f} |" in row
        assert f"](trials/{variant}/seed-1/report.md)" in row
    assert (whole / "report.html").read_text().count(
        "<svg"
    ) == 5  # variants; loss and accuracy, twice


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
def test_a_browser_draws_the_report_and_every_link_leads_to_a_trial(whole, tmp_path):
    done = browse(tmp_path, whole / "report.html", "--dump-dom")
    assert done.returncode == 0 and "CONSOLE" not in done.stderr
    links = re.findall(r'<a href="([^"]+)/report.html">[\d.]+</a>', done.stdout)
    assert len(links) == 4 and all((whole / link / "config.json").is_file() for link in links)


def test_a_finished_trial_is_not_run_again(whole, file, monkeypatch):
    monkeypatch.setattr(running, "train", None)
    before = (whole / "report.md").read_text()
    ablation.perform(file, whole, options(diff=DIFF, seeds=2), str(whole / "data"))
    assert (whole / "report.md").read_text() == before


def test_killed_in_the_middle_and_resumed_it_ends_with_the_same_report(
    whole, file, tmp_path, monkeypatch
):
    real, steps = running.train, []

    def dying(*args, on_evaluation, **rest):
        def watch(step, metrics):
            steps.append(step)
            if len(steps) == 5:  # in the middle of the second trial, after a checkpoint
                raise KeyboardInterrupt
            on_evaluation(step, metrics)

        return real(*args, on_evaluation=watch, **rest)

    monkeypatch.setattr(running, "train", dying)
    with pytest.raises(KeyboardInterrupt):
        ablation.perform(file, tmp_path, options(diff=DIFF, seeds=2), str(whole / "data"))
    ablation.perform(file, tmp_path, options(diff=DIFF, seeds=2), str(whole / "data"))
    assert steps == [4, 8, 12, 4, 8, 8, 12, *[4, 8, 12] * 2]

    def timeless(folder):
        text = (folder / "report.md").read_text().replace(str(folder), "")
        return re.sub(r"\d+:\d\d( \(.*?\))? \|", "", text)

    assert timeless(tmp_path) == timeless(whole)


def test_a_failed_trial_is_listed_with_its_error_and_ends_no_other(file, tmp_path, capsys):
    asked = options(seeds=2)  # the file's own get_ablations
    ablation.perform(file, tmp_path, asked, str(tmp_path / "data"))
    text = (tmp_path / "report.md").read_text()
    assert "2 finished, 2 failed" in text and "2 trials have failed and are in no mean" in text
    assert "is not finite" in text and "| wrong | 0 | – | – |" in text
    assert "Not tested. A test of a difference needs at least 2 seeds, and there are none" in text
    record = json.loads((tmp_path / "trials/wrong/seed-0.json").read_text())
    assert record["state"] == "failed" and "is not finite" in record["error"]
    capsys.readouterr()
    ablation.perform(file, tmp_path, asked, str(tmp_path / "data"))
    assert "4 of them done" in capsys.readouterr().out


def test_as_one_program_the_trials_have_the_numbers_they_have_alone(whole, file, tmp_path, capsys):
    asked = options(diff=[*DIFF, "wrong: optimizer.lr=1e999"], seeds=2, stacked=True)
    ablation.perform(file, tmp_path, asked, str(whole / "data"))
    assert "for 6 runs together" in capsys.readouterr().out
    assert "for 6 runs together" in (tmp_path / "report.md").read_text()
    for variant in ("baseline", "slow"):
        for seed in ("seed-0", "seed-1"):
            mine, other = (
                json.loads((d / "trials" / variant / seed / "results/test.json").read_text())
                for d in (tmp_path, whole)
            )
            assert mine["metrics"] == pytest.approx(other["metrics"], rel=1e-4)
    record = json.loads((tmp_path / "trials/wrong/seed-1.json").read_text())
    assert record["state"] == "failed" and "is not finite" in record["error"]


def test_what_was_run_with_other_code_is_refused_or_counted_when_asked(whole, file, monkeypatch):
    made = ablation.plan(file, whole, options(diff=DIFF, seeds=2)).trials
    identities = trials.Identities(str(whole / "data"))
    identities.code = "another"
    with pytest.raises(
        UserError, match="other code: choose another --workdir.*--allow_changed_code"
    ):
        running.pending(made[0], identities, False, False)
    assert not running.pending(made[0], identities, False, True)
    edited = made[0]._replace(config={**made[0].config, "ema": 0.5})
    with pytest.raises(UserError, match="other config and code"):
        running.pending(edited, identities, False, True)


def test_a_test_of_one_seed_is_refused(file, tmp_path):
    with pytest.raises(UserError, match="at least 2 seeds, not --seeds=1"):
        ablation.plan(file, tmp_path, options(diff=DIFF, baseline="slow"))
    with pytest.raises(UserError, match="of no evaluator. Did you mean 'val'"):
        ablation.plan(file, tmp_path, options(diff=DIFF, metric="vall/loss"))


def valley(config, workdir, *, on_evaluation, **_):
    """In place of training: a loss that is lowest at lr = 1e-3 and falls with the steps."""
    folder = Path(workdir)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    loss = (math.log10(config["optimizer"]["lr"]) + 3) ** 2 + config["optimizer"]["momentum"] / 10
    with (folder / "metrics.jsonl").open("w") as file:
        for step in (4, 8, 12):
            row = {"val/loss": loss + 1 / step}
            file.write(json.dumps({"step": step, "train/loss": loss, **row}) + "\n")
            file.flush()
            on_evaluation(step, row)


def test_a_search_finds_the_valley_and_goes_on_as_if_never_stopped(file, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr(running, "train", valley)
    monkeypatch.setattr(searching, "ENOUGH", 5)
    space = ["optimizer.lr=1e-6..1e-1 log", "optimizer.momentum=0.0,0.9"]
    asked = options(search="tpe", space=space, trials=25, metric="val/loss")
    searching.perform(file, tmp_path / "a", asked, str(tmp_path))
    text = (tmp_path / "a" / "report.md").read_text()
    assert "25 trials of" in text and "(ended early)" in text and "PED-ANOVA" in text
    asked.trials = 9
    searching.perform(file, tmp_path / "b", asked, str(tmp_path))
    real = searching.Search.tell
    monkeypatch.setattr(searching.Search, "tell", lambda *_: 1 / 0)  # killed before it is told
    asked.trials = 25
    with pytest.raises(ZeroDivisionError):
        searching.perform(file, tmp_path / "b", asked, str(tmp_path))
    monkeypatch.setattr(searching.Search, "tell", real)
    searching.perform(file, tmp_path / "b", asked, str(tmp_path))

    def table(folder):
        text = (folder / "report.md").read_text()
        return text[text.index("## The best trials") : text.index("The best of many")]

    assert table(tmp_path / "a") == table(tmp_path / "b")
    rows = re.findall(r"\| \d{3} \| \[([\d.]+)\]\S+ \| (\S+)", table(tmp_path / "a"))
    losses = [float(loss) for loss, _ in rows]
    assert losses == sorted(losses) and 1e-4 < float(rows[0][1]) < 1e-2
    asked.space = space[:1]
    with pytest.raises(UserError, match="holds a search with another space"):
        searching.perform(file, tmp_path / "a", asked, str(tmp_path))


def test_nothing_is_searched_by_the_test_split(file, tmp_path):
    pytest.importorskip("optuna")
    asked = options(search="random", space=["optimizer.lr=0.01..0.1"], metric="test/loss")
    with pytest.raises(
        UserError, match="test/loss is of the test split, by which nothing may be chosen"
    ):
        searching.perform(file, tmp_path, asked, str(tmp_path))


def test_runs_are_compared_by_variant_and_seed(whole, tmp_path, capsys):
    paths = [str(whole / f"trials/{v}/seed-{s}") for v in ("baseline", "slow") for s in (0, 1)]
    comparing.perform(paths, "test/accuracy", str(tmp_path / "page.html"))
    said = capsys.readouterr().out
    assert re.search(r"optimizer.lr +│ 0.1 +│ 0.001", said) and "model" not in said
    assert f"{np.mean(accuracies(whole, 'slow')):.4f}" in said and "Against baseline" in said
    assert (tmp_path / "page.html").is_file()
    with pytest.raises(UserError, match="names two or more"):
        comparing.perform(paths[:1])


def test_runs_on_other_data_are_not_compared(whole, tmp_path):
    for name, change in (
        ("data", {"fingerprint": "b" * 64}),
        ("split", {"splits": {"test": "train"}}),
    ):
        folder = tmp_path / name
        run = whole / "trials/baseline/seed-0"
        folder.mkdir()
        for file in ("config.json", "metrics.jsonl", "about.json", "environment.json"):
            (folder / file).write_text((run / file).read_text())
        (folder / "results").mkdir()
        (folder / "results/test.json").write_text((run / "results/test.json").read_text())
        config = json.loads((folder / "config.json").read_text())
        config["data"].update(change)
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(
            UserError, match="are not comparable: (their data differ|.* of test in)"
        ):
            comparing.perform([str(run), str(folder)], "test/accuracy")
