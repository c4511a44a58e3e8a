"""Pairs of texts as rows, in the form that their tokenizer's model knows: [CLS] first [SEP] second [SEP]."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.errors import UserError

Pair = tuple[np.ndarray, np.ndarray]  # ids of both texts


class Around(NamedTuple):
    """The ids that stand before, between and after two texts."""

    before: list[int]
    between: list[int]
    after: list[int]

    @property
    def count(self) -> int:
        return sum(map(len, self))

    def fill(self, pairs: Sequence[Pair | None], length: int) -> dict[str, np.ndarray]:
        """{"tokens", "types": int32, "mask": bool}, each [rows, length]; None is a row of padding.

        The type of the second text, and of what comes after it, is 1, as in BERT.
        """
        tokens, types = (np.zeros((len(pairs), length), np.int32) for _ in range(2))
        mask = np.zeros((len(pairs), length), bool)
        for row, pair in enumerate(pairs):
            if pair is not None:
                head = np.concatenate([self.before, pair[0], self.between])
                ids = np.concatenate([head, pair[1], self.after])
                tokens[row, : len(ids)], mask[row, : len(ids)] = ids, True
                types[row, len(head) : len(ids)] = 1
        return {"tokens": tokens, "types": types, "mask": mask}


def build_tokenizer(spec: Any) -> Any:
    """The tokenizer of a spec, untrained; one that knows what stands around two texts.

    Raises:
        UserError: one that does not, or any other mistake in `spec`.
    """
    tokenizer = config.build("data.tokenizers", spec)
    if not hasattr(tokenizer, "around_pair"):
        name = (spec.get("spec") or spec)["name"]
        raise UserError(
            f"config.data.tokenizer {name!r} does not say which characters of a text its tokens are: "
            'take dict(name="raw", kind="wordpiece"), or a published tokenizer.json.'
        )
    return tokenizer


def around(tokenizer: Any) -> Around:
    """What a trained tokenizer has around two texts.

    Raises:
        UserError: nothing, and no separator either.
    """
    found = Around(*tokenizer.around_pair())
    if not found.before or not found.between:
        raise UserError(
            "The tokenizer has no token of a separator, such as [SEP], </s> or <separator>, to stand "
            "between two texts: take one that has."
        )
    return found
