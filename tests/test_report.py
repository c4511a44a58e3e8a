"""The report of a run: the same numbers in both forms, nothing hidden, nothing run, nothing lost."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from bigmodel_jax import blocks
from bigmodel_jax.checkpoint import all_steps
from bigmodel_jax.errors import UserError
from bigmodel_jax.reports import make as reporting
from bigmodel_jax.reports import mistakes
from bigmodel_jax.reports.page import Code, Note, Paragraph, Quote, Table, to_html, to_markdown
from bigmodel_jax.rundir import RunDir
from bigmodel_jax.train import train
from tests import made_run
from tests.laws.harness import CONFIGS
from tests.strains import gan


class Page(HTMLParser):
    """The texts of a page, its elements, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.tags, self.loads, self.handlers = [], [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_data(self, data):
        self.texts.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        refs = ("src", "href", "xlink:href", "srcset", "data", "action")
        self.loads += [v for k, v in attrs if k in refs and not v.startswith("#")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    """A tiny run, through to its end."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train({**CONFIGS["imdb-lstm"](), "duration": "20 steps"}, str(folder), data_dir=data_dir)
    return folder


def test_a_run_ends_with_its_report(trained):
    page = Page((trained / "report.html").read_text())
    result = json.loads((trained / "results" / "test.json").read_text())
    about = json.loads((trained / "about.json").read_text())
    assert f"{result['metrics']['accuracy']:.4f}" in page.text
    assert "generated data" in page.text and about["generated"]
    assert f"{about['parameters']:,} parameters" in page.text
    assert page.tags.count("svg") == len(list((trained / "plots").glob("*.png"))) >= 7
    assert len(result["mistakes"]) == 10 and page.tags.count("article") == 10
    assert result["mistakes"][0]["text"][:50] in page.text


def test_a_run_too_short_for_a_logged_step_has_its_epochs(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "short")
    rows = (trained / "metrics.jsonl").read_text().splitlines()
    evaluated = [row for row in rows if "train/epoch" not in row]
    assert 0 < len(evaluated) < len(rows)
    (tmp_path / "short" / "metrics.jsonl").write_text("\n".join(evaluated) + "\n")
    about = json.loads((trained / "about.json").read_text())
    epochs = f"of {about['batch_size']} ({20 / about['steps_per_epoch']:.4g} epochs)"
    assert epochs in Page(reporting.make(tmp_path / "short").read_text()).text


def test_the_arrays_of_an_evaluation_are_kept_and_give_its_numbers(trained):
    result = json.loads((trained / "results" / "test.json").read_text())
    arrays = np.load(trained / "results" / "test.npz")
    assert arrays["probabilities"].dtype == np.float32 and arrays["lengths"].dtype == np.int32
    right = arrays["probabilities"].argmax(-1) == arrays["labels"]
    assert right.mean() == result["metrics"]["accuracy"]


def test_the_report_can_be_made_anew_and_is_the_same(trained):
    before = {p: p.read_bytes() for p in [*trained.glob("report.*"), *trained.glob("plots/*")]}
    assert reporting.make(trained) == trained / "report.html"
    assert before == {p: p.read_bytes() for p in before}


def test_results_hold_texts_as_they_are_and_a_row_of_a_matrix_a_line(tmp_path):
    text = '[ 7 ]\n[\n  1,\n  2\n] "ü" {} \u2028'
    result = {
        "step": 3,
        "metrics": {"loss": float("nan"), "f1": 0.5},
        "confusion_matrix": [[1, 2], [3, 4]],
        "label_names": [text, "b"],
        "mistakes": [{"index": 1, "text": text, "none": None, "list": [], "dict": {}}],
    }
    run = RunDir(tmp_path)
    run.write_result("test", result)
    written = (tmp_path / "results" / "test.json").read_text(encoding="utf-8")
    assert "\n    [1, 2],\n    [3, 4]\n" in written
    assert json.dumps(text, ensure_ascii=False) in written
    found = run.read_result("test")
    assert found is not None and repr(found) == repr(result)


@pytest.mark.parametrize("kind", made_run.KINDS)
def test_every_kind_of_target_has_a_report_in_both_forms(kind, tmp_path):
    folder = made_run.make(tmp_path / "run", kind)
    page = Page(reporting.make(folder).read_text())
    markdown = (folder / "report.md").read_text()
    for text in (page.text, markdown):
        assert "0.1235" in text and "12,345 examples" in text and "mine.csv" in text
        assert "'--config=configs/a b.py'" in text
    for file in re.findall(r"\]\((plots/.*?)\)", markdown):
        assert (folder / file).read_bytes().startswith(b"\x89PNG")
    assert page.tags.count("figure") == markdown.count("](plots/") >= 5
    assert ("Names of the classes" in page.text) == (kind in ("chinese", "odd names"))


def test_what_a_text_contains_is_shown_and_never_run(tmp_path):
    folder = made_run.make(tmp_path / "run", "odd names")
    html = reporting.make(folder).read_text()
    page = Page(html)
    assert "script" not in page.tags and not page.handlers and "b" not in page.tags
    assert "<script>document.title = 'run'</script> | a *b*" in page.text
    assert "\x1b" not in html and "很好" in html
    markdown = (folder / "report.md").read_text()
    outside = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    assert "<script>" not in outside and "<b>" not in outside
    rows = [line for line in outside.splitlines() if line.startswith("| f1/odd")]
    assert rows and all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)


def test_a_page_is_one_file_that_loads_nothing(tmp_path):
    html = reporting.make(made_run.make(tmp_path / "run")).read_text()
    page = Page(html)
    assert not page.loads and "@import" not in html and "url(http" not in html
    assert "link" not in page.tags and "iframe" not in page.tags
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(set(ids)) == len(ids)  # figures do not take each other's markers
    assert set(re.findall(r'"url\(#([^)]*)\)"|xlink:href="#([^"]*)"', html)) <= {
        *((i, "") for i in ids), *(("", i) for i in ids),
    }  # fmt: skip


def test_a_run_without_arrays_says_how_to_get_them(tmp_path):
    folder = made_run.make(tmp_path / "run", arrays=False)
    text = Page(reporting.make(folder).read_text()).text
    assert "results/test.npz, which this run lacks" in text
    assert f"python -m bigmodel_jax.evaluate --workdir={folder} --split=test" in text


def test_a_run_that_has_only_begun_has_a_report(tmp_path):
    folder = made_run.make(tmp_path / "run")
    for path in (
        *(folder / "results").iterdir(),
        folder / "about.json",
        folder / "environment.json",
    ):
        path.unlink()
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 110, "tra')  # it is being written
    assert "val (step 100)" in Page(reporting.make(folder).read_text()).text


def test_a_run_without_a_data_set_has_a_report(tmp_path):
    train(gan.config(), tmp_path / "run")
    assert "loss" in Page((tmp_path / "run" / "report.html").read_text()).text


def test_a_report_of_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="names the directory of a run"):
        reporting.make(tmp_path)


def test_a_picture_that_fails_loses_no_run(tmp_path, monkeypatch, capsys):
    def fail(_):
        raise ValueError("no ink")

    monkeypatch.setattr(reporting, "make", fail)
    train(gan.config(), tmp_path / "run")
    out = capsys.readouterr().out
    assert "NOTE: the report could not be made (ValueError: no ink)" in out
    assert "python -m bigmodel_jax.report --workdir=" in out and "Done:" in out
    assert all_steps(tmp_path / "run" / "checkpoints")


def test_mistakes_are_the_surest_wrong_answers_of_a_slow_search():
    details = made_run.details("six")
    names, scores, truth = (details[k] for k in ("label_names", "probabilities", "labels"))
    wrong = [
        (-max(p), i) for i, (p, y) in enumerate(zip(scores, truth, strict=True)) if p.argmax() != y
    ]
    found = mistakes.mistakes(details, names)
    assert [m["index"] for m in found] == [i for _, i in sorted(wrong)[:10]]
    for m in found:
        assert m["label"] == names[truth[m["index"]]] != m["predicted"]
        assert m["probability"] == scores[m["index"], names.index(m["predicted"])]


def test_mistakes_of_several_labels_are_decisions_and_of_numbers_distances(monkeypatch):
    details = made_run.details("labels")
    found = mistakes.mistakes(details, details["label_names"])
    monkeypatch.setattr(blocks, "ELEMENTS", 50)
    assert mistakes.mistakes(details, details["label_names"]) == found
    sure = [m["probability"] for m in found]
    assert sure == sorted(sure, reverse=True) and min(sure) >= 0.5
    assert len({m["index"] for m in found}) == 10
    for m in found:
        assert f"not {m['label']}" == m["predicted"] or m["label"] == f"not {m['predicted']}"
    details = made_run.details("number")
    found = mistakes.mistakes(details, details["label_names"])
    error = np.abs(details["values"] - details["labels"])
    assert [m["index"] for m in found] == np.argsort(-error)[:10].tolist()


def test_a_perfect_model_makes_no_mistakes():
    labels = np.array([0, 1])
    arrays = {"labels": labels, "probabilities": np.eye(2, dtype=np.float32)}
    assert mistakes.mistakes(arrays, ["a", "b"]) == []


def test_long_texts_are_cut_and_short_ones_are_not():
    class Source:
        def texts(self, indices):
            return ["x" * 5000 if i % 2 else "short" for i in indices]

    evaluated = made_run.Evaluated(made_run.details("binary"))
    evaluated.source = Source()
    texts = {m["text"] for m in mistakes.kept(evaluated)[0]["mistakes"]}
    assert texts == {"short", "x" * 999 + "…"}


def test_both_forms_say_the_same():
    parts = [Paragraph("a*b"), Note("no|te"), Table(["k", "v"], [["a|b", "1"]]), Quote("t", "q\nr")]
    assert to_markdown("T", parts) == (
        "# T\n\na\\*b\n\n> **no\\|te**\n\n| k | v |\n| --- | --- |\n| a\\|b | 1 |\n\n**t**\n\n> “q r”\n"
    )
    text = Page(to_html("T", parts)).text
    assert all(word in text for word in ("a*b", "no|te", "a|b", "q r"))
    assert "````" in to_markdown("T", [Code("```")])
