"""Generated articles: all that their highlights say stands in them, or follows."""

import hashlib
import json

from bigmodel_jax.data import records
from bigmodel_jax.data.readers import synthetic_articles
from bigmodel_jax.data.readers.synthetic_articles import EVENTS, SLOTS, Reader


def words(text):
    return set(text.lower().replace(".", " ").replace(":", " ").replace(",", " ").split())


def test_highlights_add_nothing_but_the_words_of_their_kind_of_event():
    ours = [words(event.highlights) for event in EVENTS]
    slots = {value for values in SLOTS.values() for value in values}
    told = {k: 0 for k in range(len(EVENTS))}
    for item in Reader().examples("test"):
        added = words(item["highlights"]) - words(item["article"])
        kinds = [k for k, known in enumerate(ours) if added <= known]
        assert kinds, item
        told[kinds[0]] += 1
        lead = item["highlights"].splitlines()[0]
        assert any(value in lead for value in slots) and len(item["highlights"].splitlines()) == 2
    assert min(told.values()) > 150


def test_files_are_lines_of_the_published_columns(tmp_path):
    synthetic_articles.write(str(tmp_path / "news"), train_size=30, test_size=5)
    reader = Reader(train_size=30, test_size=5)
    for split, count in (("train", 30), ("validation", 5), ("test", 5)):
        path = tmp_path / "news" / f"{split}.jsonl"
        found = [values for _, values in records.read(path, {"a": "article", "b": "highlights"})]
        items = list(reader.examples(split))
        assert found == [[item["article"], item["highlights"]] for item in items]
        assert len({json.loads(line)["id"] for line in path.read_text().splitlines()}) == count


def test_the_articles_stay_the_same_until_the_version_says_otherwise():
    found = list(Reader().examples("train", range(200)))
    assert synthetic_articles.VERSION == 1
    assert hashlib.sha256(repr(found).encode()).hexdigest()[:16] == "8a1ccf6dcaad523a"
