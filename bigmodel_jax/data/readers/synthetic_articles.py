"""Generated news and their summaries, in the layout of CNN/DailyMail as JSONL; not real data.

For quick starts and tests of summarisation. An article tells of one event among sentences that do not
matter; its highlights say who, where and how many, in other words than the article.

    python -c "from bigmodel_jax.data.readers import synthetic_articles as news; news.write('news')"

writes news/train.jsonl, news/validation.jsonl and news/test.jsonl, a line of {"id", "article",
"highlights"} each; highlights are sentences with a line end between, as there.
"""

import json
from pathlib import Path
from typing import NamedTuple

from bigmodel_jax.data.generated import Generated, Random, mixed
from bigmodel_jax.data.readers.synthetic_facts import NAMES, TOWNS

VERSION = 1  # to be raised when any article changes: it is part of the fingerprint


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


SLOTS = {
    "one": NAMES,
    "other": NAMES,  # than the one before
    "third": NAMES,  # than these two
    "town": TOWNS,
    "away": TOWNS,  # another town
    "day": _list("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"),
    "house": _list("school|mill|hotel|library|garage|theatre|barn|bakery"),
    "game": _list("chess match|boat race|tennis final|spelling contest|road race"),
    "many": tuple(str(n) for n in range(120, 1000, 40)),
    "few": _list("two|three|four|five|six|seven|eight|nine"),
}
SAME = ({"one", "other", "third"}, {"town", "away"})  # slots that differ from each other


class Event(NamedTuple):
    """What happens: for each thing that is told, ways to tell it; and the highlights."""

    told: tuple[tuple[str, ...], ...]
    highlights: str


EVENTS = (
    Event(
        (
            _list(
                "{one} beat {other} in the {game} of {town} on {day}.|"
                "On {day} {other} lost the {game} of {town} to {one}.|"
                "The {game} of {town} was lost by {other} and won by {one}."
            ),
            _list("Some {many} people came to see it.|There were {many} people at the side."),
        ),
        "{one} won the {game} in {town}.\n{many} watched.",
    ),
    Event(
        (
            _list(
                "A fire broke out in the {house} of {town} on {day}.|"
                "On {day} the {house} of {town} burnt to the ground.|"
                "Smoke rose from the {house} of {town} when {one} came by on {day}."
            ),
            _list(
                "It took {few} hours to put it out.|Only {few} hours later were the flames dead."
            ),
        ),
        "Fire in {town}: the {house} is lost.\n{few} hours of flames.",
    ),
    Event(
        (
            _list(
                "{one} was elected mayor of {town} on {day}.|"
                "The people of {town} chose {one} as their mayor, and not {other}.|"
                "{other} will leave the town hall of {town} to {one}, the new mayor."
            ),
            _list("The lead was {many} votes.|A margin of {many} votes decided it."),
        ),
        "{town} has a new mayor: {one}.\n{many} votes made the difference.",
    ),
    Event(
        (
            _list(
                "A storm passed over {town} on {day} and spared {away}.|"
                "Not {away} but {town} was hit by the storm of {day}.|"
                "The storm left {away} alone and tore the roofs from {town}."
            ),
            _list("For {few} days there was no power.|The lights came back after {few} days."),
        ),
        "Storm hits {town}.\n{few} days without power.",
    ),
)
FILLERS = _list(
    "{third} had gone fishing and heard of it late.|It was a warm week.|Nobody had expected it.|"
    "The papers of {away} wrote about it at length.|More is to be told tomorrow.|"
    "{third} asked for calm."
)


class Reader(Generated):
    """Articles and their highlights, in a train, a validation and a test split.

    Args:
        train_size, test_size: articles; validation has as many as test.
    """

    name = "synthetic_articles"

    def __init__(
        self, train_size: int = 20_000, test_size: int = 1000, data_dir: str | None = None
    ):
        del data_dir  # for prepared data sets
        splits = {"train": train_size, "validation": test_size, "test": test_size}
        super().__init__(VERSION, splits)

    def example(self, rng: Random) -> dict:
        """{"id": str, "article": str, "highlights": str}."""
        event, slots = rng.pick(EVENTS), _slots(rng)
        sentences = [rng.pick(ways) for ways in event.told]
        for filler in mixed(FILLERS, rng)[: 1 + rng.below(4)]:
            sentences.insert(rng.below(len(sentences) + 1), filler)
        number = "".join(f"{rng.below(1 << 16):04x}" for _ in range(10))
        article = " ".join(sentences).format(**slots)
        highlights = "\n".join(
            line[0].upper() + line[1:] for line in event.highlights.format(**slots).splitlines()
        )
        return {"id": number, "article": article, "highlights": highlights}


def _slots(rng: Random) -> dict[str, str]:
    """Something for each slot."""
    slots: dict[str, str] = {}
    for name, values in SLOTS.items():
        taken = {slots.get(other) for group in SAME if name in group for other in group}
        slots[name] = rng.pick([value for value in values if value not in taken])
    return slots


def write(folder: str, **options) -> None:
    """Writes the articles of Reader(**options) as files of lines."""
    reader, root = Reader(**options), Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    for split in reader.splits:
        lines = "".join(json.dumps(item) + "\n" for item in reader.examples(split))
        (root / f"{split}.jsonl").write_text(lines, encoding="utf-8")
