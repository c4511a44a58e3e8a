"""Made-up labelled texts of every kind of target: a reader whose examples follow simple rules."""

import hashlib

import numpy as np

WORDS = ("ash", "birch", "cedar", "dogwood", "elm", "fir")


class Reader:
    """Texts of words from WORDS.

    The class is that of the first word (rarer the later it is); the labels are the words that occur
    among the first three; the number is a sum of a worth of each word that occurs. A pair is of the same class if
    both texts begin with the same word.
    """

    name, synthetic = "toy_texts", False

    def __init__(self, size=200, target="class", pair_column=None, longest=12, data_dir=None):
        self.target, self.pairs = target, pair_column is not None
        self.splits = {"train": size, "test": size // 2}
        self.label_names = {"class": WORDS, "labels": WORDS, "number": ("value",)}[target]
        if self.pairs:
            self.label_names = ("different", "same")
        self._longest = longest
        self._key = f"{size} {target} {self.pairs} {longest}"

    def fingerprint(self):
        return hashlib.sha256(self._key.encode()).hexdigest()

    def examples(self, split, indices=None):
        for i in range(self.splits[split]) if indices is None else indices:
            rng = np.random.default_rng((int(i), split == "test"))
            text, pair = self._text(rng), self._text(rng)
            found = {"text": " ".join(text), "label": self._label(text, pair)}
            yield {**found, "pair": " ".join(pair)} if self.pairs else found

    def _text(self, rng):
        length = rng.integers(3, self._longest + 1)
        first = WORDS[int(6 * rng.random() ** 2)]
        return [first, *rng.choice(WORDS, length - 1)]

    def _label(self, text, pair):
        if self.pairs:
            return int(text[0] == pair[0])
        if self.target == "labels":
            return sorted({WORDS.index(word) for word in text[:3]})
        return WORDS.index(text[0]) if self.target == "class" else self._worth(text)

    def _worth(self, text):
        return 1000.0 + 100.0 * sum(WORDS.index(word) for word in set(text))


def data(target="class", pairs=False, size=200, longest=12, **changes):
    """config.data over these texts."""
    pair_column = "pair" if pairs else None
    options = dict(target=target, pair_column=pair_column, size=size, longest=longest)
    reader = dict(name="tests.strains.toy_texts", **options)
    return (
        dict(
            name="text",
            reader=reader,
            splits=dict(train="train[:80%]", val="train[80%:]", test="test"),
            tokenizer=dict(name="words", vocabulary_size=20),
            max_length=8,
            batch_size=16,
        )
        | changes
    )
