"""Cuts long texts before they are tokenised: a model sees some hundred tokens of them."""

from collections.abc import Mapping

# Characters a token, with plenty to spare: English has five, a page that is mostly markup thirty.
GENEROUS = 64


class Limit:
    """What is read of texts of which a model keeps a number of tokens.

    Args:
        max_length: tokens that are kept.
        keep: "head", "tail" or "both" ends of a text, as config.data.keep.

    Attributes:
        characters: of each end that are read, a power of two: lengths that differ little share
            what is tokenised.
        cut: texts that were longer.
    """

    def __init__(self, max_length: int, keep: str):
        self.keep, self.cut = keep, 0
        self.characters = 1 << (GENEROUS * max(max_length, 128) - 1).bit_length()

    def __call__(self, text: str) -> str:
        """The text, or what is read of it."""
        if len(text) <= self.characters * (2 if self.keep == "both" else 1):
            return text
        self.cut += 1
        head, tail = text[: self.characters], text[-self.characters :]
        return {"head": head, "tail": tail, "both": f"{head}\n{tail}"}[self.keep]

    def example(self, example: Mapping) -> dict:
        """The example with what is read of its texts."""
        return {k: self(v) if k in ("text", "pair") else v for k, v in example.items()}

    def __str__(self):
        ends = {"head": "their first", "tail": "their last", "both": "their first and last"}
        return f"{ends[self.keep]} {self.characters:,} characters"
