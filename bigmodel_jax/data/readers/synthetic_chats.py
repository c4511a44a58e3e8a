"""Generated conversations, in which an answer is made of the words of its question; not real data.

For quick starts and tests of instruction tuning: "say film twice" is answered by "film film".
"""

import hashlib
from collections.abc import Iterator, Sequence

from bigmodel_jax.data.readers.synthetic_reviews import ASPECTS, ITEMS, Random
from bigmodel_jax.errors import UserError, nearest

VERSION = 1  # to be raised when any conversation changes: it is part of the fingerprint
# What is asked of two words, and what is answered.
ASKED = (
    ("say {0}", "{0}"),
    ("say {0} twice", "{0} {0}"),
    ("say {0} and {1}", "{0} and {1}"),
    ("which is first , {0} or {1} ?", "{0}"),
    ("which is last , {0} or {1} ?", "{1}"),
)


class Reader:
    """Conversations of one to three questions, in a train and a test split.

    Args:
        train_size, test_size: conversations.
    """

    name = "synthetic_chats"
    synthetic = True

    def __init__(self, train_size: int = 2000, test_size: int = 500, data_dir: str | None = None):
        del data_dir  # for prepared data sets
        self.splits = {"train": train_size, "test": test_size}

    def fingerprint(self) -> str:
        """sha256 of the generator's version and its arguments."""
        identity = (self.name, VERSION, sorted(self.splits.items()))
        return hashlib.sha256(repr(identity).encode()).hexdigest()

    def examples(self, split: str, indices: Sequence[int] | None = None) -> Iterator[dict]:
        """Yields {"messages": [{"role": str, "content": str}, ...]}."""
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        for i in range(self.splits[split]) if indices is None else indices:
            rng = Random(f"{VERSION}/{split}/{int(i)}")
            turns = [turn for _ in range(1 + rng.below(3)) for turn in _turns(rng)]
            yield {"messages": turns}


def _turns(rng: Random) -> list[dict[str, str]]:
    """A question and its answer."""
    words = [rng.pick((*ASPECTS, *ITEMS)) for _ in range(2)]
    texts = [text.format(*words) for text in rng.pick(ASKED)]
    return [
        {"role": role, "content": text}
        for role, text in zip(("user", "assistant"), texts, strict=True)
    ]
