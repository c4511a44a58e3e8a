"""Pairs of texts as rows, in the form that their tokenizer's model knows: [CLS] first [SEP] second [SEP]."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data.rows import Around
from bigmodel_jax.data.rows import around as by_template
from bigmodel_jax.errors import UserError

Pair = tuple[np.ndarray, np.ndarray]  # ids of both texts


def build_tokenizer(spec: Any) -> Any:
    """The tokenizer of a spec, untrained; one that knows the characters of its tokens.

    Raises:
        UserError: one that does not, or any other mistake in `spec`.
    """
    tokenizer = config.build("data.tokenizers", spec)
    if not hasattr(tokenizer, "encode_offsets"):
        name = (spec.get("spec") or spec)["name"]
        raise UserError(
            f"config.data.tokenizer {name!r} does not say which characters of a text its tokens are: "
            'take dict(name="raw", kind="wordpiece"), or a published tokenizer.json.'
        )
    return tokenizer


def around(tokenizer: Any) -> Around:
    """What stands around two texts: by a trained tokenizer's template, else its separator three times.

    There is always something before the first text: that of an answer which there is not.

    Raises:
        UserError: there is no template, and no separator either.
    """
    template, separator = tokenizer.template(), tokenizer.separator
    if not template and separator is None:
        raise UserError(
            "The tokenizer has no token of a separator, such as [SEP], </s> or <separator>, to stand "
            "between two texts: take one that has."
        )
    if not template:
        return Around((separator,), (separator,), (separator,), pairs=True)
    found = by_template(tokenizer, pairs=True)
    return found if found.before else found._replace(before=found.between[:1])


def fill(around: Around, pairs: Sequence[Pair | None], length: int) -> dict[str, np.ndarray]:
    """{"tokens", "types": int32, "mask": bool}, each [rows, length]; None is a row of padding.

    The type of the second text, and of what comes after it, is 1, as in BERT.
    """
    tokens, types = (np.zeros((len(pairs), length), np.int32) for _ in range(2))
    before, between, after = (np.array(ids, np.int32) for ids in around[:3])
    mask = np.zeros((len(pairs), length), bool)
    for row, pair in enumerate(pairs):
        if pair is not None:
            head = np.concatenate([before, pair[0], between])
            ids = np.concatenate([head, pair[1], after])
            tokens[row, : len(ids)], mask[row, : len(ids)] = ids, True
            types[row, len(head) : len(ids)] = 1
    return {"tokens": tokens, "types": types, "mask": mask}
