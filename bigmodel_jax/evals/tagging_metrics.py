"""Precision, recall and F1 of entities, as the script of CoNLL-2003 counts them (conlleval)."""

from collections import Counter
from collections.abc import Iterable, Sequence

Entity = tuple[str, int, int]  # kind, first word, last word + 1


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence in IOB2.

    As in conlleval, an I- that continues nothing begins an entity: a model may predict one.
    """
    found: list[Entity] = []
    kind, start = "", 0
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind and (prefix != "I" or name != kind):
            found.append((kind, start, i))
            kind = ""
        if prefix in ("B", "I") and not kind:
            kind, start = name, i
    return found


def in_iob2(names: Iterable[str]) -> bool:
    """Whether tags of these names are those of entities."""
    return all(name == "O" or name[:2] in ("B-", "I-") for name in names)


def compute(
    sentences: Iterable[tuple[Sequence[str], Sequence[str]]], names: Sequence[str]
) -> dict[str, float]:
    """Numbers by name, over (true tags, predicted tags) of sentences.

    "accuracy" is that of words. Where the tags are in IOB2 "precision", "recall" and "f1" are of
    whole entities, of all kinds together, and "f1/KIND" of one; an entity counts if its words and
    its kind are right.

    Args:
        names: all tags there are.
    """
    right = words = 0
    true: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for gold, guess in sentences:
        words += len(gold)
        right += sum(a == b for a, b in zip(gold, guess, strict=True))
        here, there = set(entities(gold)), set(entities(guess))
        true.update(kind for kind, *_ in here)
        predicted.update(kind for kind, *_ in there)
        hits.update(kind for kind, *_ in here & there)
    numbers = {"accuracy": right / max(words, 1)}
    if not in_iob2(names):
        return numbers
    scores = _scores(hits.total(), predicted.total(), true.total())
    numbers |= dict(zip(("precision", "recall", "f1"), scores, strict=True))
    for kind in sorted({name[2:] for name in names if name != "O"}):
        numbers[f"f1/{kind}"] = _scores(hits[kind], predicted[kind], true[kind])[2]
    return numbers


def _scores(hits: int, predicted: int, true: int) -> tuple[float, float, float]:
    """(precision, recall, F1), each 0 where it would be 0 / 0."""
    precision, recall = hits / max(predicted, 1), hits / max(true, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)
