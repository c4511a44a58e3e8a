"""Generated beginnings and endings of small stories, in SWAG's layout; not real data.

For quick starts and tests of multiple choice. Of the endings one follows from what somebody did or
forgot; the others follow from the contrary, or from something else.

    python -c "from bigmodel_jax.data.readers import synthetic_endings as endings; endings.write('endings')"

writes endings/train.csv and endings/test.csv, with the columns sent1, sent2, ending0 to ending3, label.
"""

import csv
from pathlib import Path
from typing import NamedTuple

from bigmodel_jax.data.generated import Generated, Random, mixed
from bigmodel_jax.data.readers.synthetic_facts import FILLERS, NAMES

VERSION = 1  # to be raised when any story changes: it is part of the fingerprint
CHOICES = 4  # at most; two at least


class Story(NamedTuple):
    """What is to be done, and the two ways in which its story ends."""

    done: str
    good: str
    bad: str


STORIES = tuple(
    Story(*line.split("|"))
    for line in (
        "fill the kettle|had hot tea at five|got no tea at all",
        "water the roses|had flowers in June|found dry stems in the garden",
        "lock the bicycle|rode home in the evening|had to walk home without wheels",
        "set the alarm|caught the first train|slept until noon",
        "charge the phone|could call a taxi|looked at a black screen",
        "feed the cat|heard a happy purr|heard angry mewing all night",
        "close the window|had a dry carpet after the storm|mopped the floor after the storm",
        "buy some candles|sat in their light|sat in the dark",
        "salt the soup|was praised as a cook|saw the guests leave their plates full",
        "pay the bill|had power in the house|got an angry letter from the bank",
        "pack an umbrella|stayed dry in the rain|was wet to the skin",
        "learn the part|spoke well on the stage|stood on the stage without a word",
    )
)
DID = ("remembered to", "took care to", "did not forget to")
DID_NOT = ("forgot to", "never came to", "did not remember to")


class Reader(Generated):
    """Stories and their endings, in a train and a test split.

    Args:
        train_size, test_size: stories.
    """

    name = "synthetic_endings"

    def __init__(self, train_size: int = 8000, test_size: int = 1000, data_dir: str | None = None):
        del data_dir  # for prepared data sets
        super().__init__(VERSION, {"train": train_size, "test": test_size})

    def example(self, rng: Random) -> dict:
        """{"context": str, "question": str, "choices": list[str], "label": int}."""
        who, (story, *others) = rng.pick(NAMES), mixed(STORIES, rng)
        done = rng.chance(0.5)
        context = f"{who} {rng.pick(DID if done else DID_NOT)} {story.done}."
        if rng.chance(0.5):
            context = " ".join(mixed([context, rng.pick(FILLERS)], rng))
        right, wrong = (story.good, story.bad) if done else (story.bad, story.good)
        # The contrary first: without it the choice of topic would do.
        endings = [wrong, *(rng.pick((other.good, other.bad)) for other in others)]
        choices = mixed([right, *endings[: 1 + rng.below(CHOICES - 1)]], rng)
        label = choices.index(right)
        return {"context": context, "question": f"So {who}", "choices": choices, "label": label}


def write(folder: str, **options) -> None:
    """Writes the stories of Reader(**options) as SWAG's files; what has fewer choices has empty ones."""
    reader, root = Reader(**options), Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    for split in reader.splits:
        with (root / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["sent1", "sent2", *(f"ending{i}" for i in range(CHOICES)), "label"])
            for item in reader.examples(split):
                empty = [""] * (CHOICES - len(item["choices"]))
                texts = [item["context"], item["question"], *item["choices"], *empty]
                rows.writerow([*texts, item["label"]])
