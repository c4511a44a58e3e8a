"""Generated sentences about people, places and firms that share their names; not real data.

For quick starts and tests of taggers. Only what stands around a name says what it is: "Mr Lincoln
flew to Paris", "Paris Ltd hired Austin". Whoever reads the whole sentence can tag all of it.
"""

from bigmodel_jax.data.generated import Generated, Random

VERSION = 1  # to be raised when any sentence changes: it is part of the fingerprint
NAMES = ("Lincoln", "Paris", "Austin", "Florence", "Jordan", "Sydney", "Chelsea", "Houston")
SENTENCES = (
    "Mr {PER} flew to {LOC} on {day} .",
    "Mrs {PER} and Mr {PER} met in {LOC} .",
    "{ORG} Ltd hired {PER} , who lives in {LOC} .",
    "the people of {LOC} know {ORG} Ltd well .",
    "on {day} nobody in {LOC} works .",
    "{PER} , who left {ORG} Ltd , never saw {LOC} .",
)
DAYS = ("Monday", "Tuesday", "Friday", "Sunday")


class Reader(Generated):
    """Sentences with a tag for each word in IOB2, in a train, a val and a test split.

    Args:
        train_size, test_size: sentences; val has as many as test.
    """

    name = "synthetic_entities"

    def __init__(self, train_size: int = 2000, test_size: int = 500, data_dir: str | None = None):
        del data_dir  # for prepared data sets
        splits = {"train": train_size, "validation": test_size, "test": test_size}
        super().__init__(VERSION, splits)

    def example(self, rng: Random) -> dict:
        """{"words": list[str], "tags": list[str]}."""
        return sentence(rng)


def sentence(rng: Random) -> dict:
    """One sentence; a name is of one word or of two."""
    words, tags = [], []
    for word in rng.pick(SENTENCES).split():
        kind = word.strip("{}")
        if word == "{day}":
            word = rng.pick(DAYS)
        if kind not in ("PER", "LOC", "ORG"):
            words, tags = [*words, word], [*tags, "O"]
            continue
        count = 1 + rng.chance(0.3)
        words += [rng.pick(NAMES) for _ in range(count)]
        tags += [f"B-{kind}", f"I-{kind}"][:count]
    return {"words": words, "tags": tags}
