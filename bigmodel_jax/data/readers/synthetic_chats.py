"""Generated conversations, in which an answer is made of the words of its question; not real data.

For quick starts and tests of instruction tuning: "say film twice" is answered by "film film".
"""

from bigmodel_jax.data.generated import Generated, Random
from bigmodel_jax.data.readers.synthetic_reviews import ASPECTS, ITEMS

VERSION = 1  # to be raised when any conversation changes: it is part of the fingerprint
# What is asked of two words, and what is answered.
ASKED = (
    ("say {0}", "{0}"),
    ("say {0} twice", "{0} {0}"),
    ("say {0} and {1}", "{0} and {1}"),
    ("which is first , {0} or {1} ?", "{0}"),
    ("which is last , {0} or {1} ?", "{1}"),
)


class Reader(Generated):
    """Conversations of one to three questions, in a train and a test split.

    Args:
        train_size, test_size: conversations.
    """

    name = "synthetic_chats"

    def __init__(self, train_size: int = 2000, test_size: int = 500, data_dir: str | None = None):
        del data_dir  # for prepared data sets
        super().__init__(VERSION, {"train": train_size, "test": test_size})

    def example(self, rng: Random) -> dict:
        """{"messages": [{"role": str, "content": str}, ...]}."""
        return {"messages": [turn for _ in range(1 + rng.below(3)) for turn in _turns(rng)]}


def _turns(rng: Random) -> list[dict[str, str]]:
    """A question and its answer."""
    words = [rng.pick((*ASPECTS, *ITEMS)) for _ in range(2)]
    texts = [text.format(*words) for text in rng.pick(ASKED)]
    return [
        {"role": role, "content": text}
        for role, text in zip(("user", "assistant"), texts, strict=True)
    ]
