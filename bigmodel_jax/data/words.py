"""Which tokens make up a word together, for whole-word masking."""

import numpy as np


class Joins:
    """Whether a token goes on with the word of the one before it, by their ids.

    WordPiece marks what goes on ("##ing"). Of other tokenizers a piece goes on if it begins with a
    letter or digit, without the mark of a space ("Ġ", "▁"), behind one that ends in such; a piece
    that is no whole character counts as a letter.
    """

    def __init__(self, tokenizer):
        names = tokenizer.tokens(range(tokenizer.vocabulary_size))
        mark = tokenizer.continues
        if mark:
            begins = [name.startswith(mark) for name in names]
            ends = [True] * len(names)
        else:
            begins = [bool(name) and _letter(name[0]) and name[0] != "Ġ" for name in names]
            ends = [bool(name) and _letter(name[-1]) for name in names]
        usual = np.array([i not in tokenizer.special for i in range(len(names))])
        self._begins, self._ends = np.array(begins) & usual, np.array(ends) & usual

    def words(self, tokens: np.ndarray, segments: np.ndarray) -> np.ndarray:
        """The number of the word that each token belongs to, from 0 in each row, int32 [rows, length]."""
        goes_on = self._begins[tokens[:, 1:]] & self._ends[tokens[:, :-1]]
        goes_on &= segments[:, 1:] == segments[:, :-1]
        first = np.zeros((len(tokens), 1), np.int32)
        return np.concatenate([first, np.cumsum(~goes_on, 1, dtype=np.int32)], 1)


def _letter(character: str) -> bool:
    return character.isalnum() or character in "\ufffd_"
