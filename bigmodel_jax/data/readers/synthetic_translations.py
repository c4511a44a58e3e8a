"""Generated sentences of a made-up language and what they mean in English; not real data.

For quick starts and tests of translation. Every word has one translation, adjectives stand behind
their nouns, and the verb stands at the end.
"""

from bigmodel_jax.data.generated import Generated, Random

VERSION = 1  # to be raised when any sentence changes: it is part of the fingerprint
NOUNS = dict(dog="hask", cat="mira", child="tolu", woman="sena", man="dorin", bird="piku")
ADJECTIVES = dict(small="nin", red="rova", old="veth", happy="lume")
VERBS = dict(sees="okal", follows="bristu", likes="ammi", finds="zeno")


class Reader(Generated):
    """Pairs, the English "text" and the other "pair", in a train and a test split.

    Args:
        train_size, test_size: pairs.
    """

    name, pairs = "synthetic_translations", True

    def __init__(self, train_size: int = 2000, test_size: int = 500, data_dir: str | None = None):
        del data_dir  # for prepared data sets
        super().__init__(VERSION, {"train": train_size, "test": test_size})

    def example(self, rng: Random) -> dict:
        """{"text": str, "pair": str}."""
        (subject, its), (object_, other) = _thing(rng), _thing(rng)
        verb = rng.pick(tuple(VERBS))
        text = f"The {subject} {verb} the {object_}."
        return {"text": text, "pair": f"{its} {other} {VERBS[verb]}.".capitalize()}


def _thing(rng: Random) -> tuple[str, str]:
    """Somebody in both languages."""
    noun = rng.pick(tuple(NOUNS))
    if rng.chance(0.5):
        return noun, NOUNS[noun]
    adjective = rng.pick(tuple(ADJECTIVES))
    return f"{adjective} {noun}", f"{NOUNS[noun]} {ADJECTIVES[adjective]}"
