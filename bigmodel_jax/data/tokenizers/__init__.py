"""Tokenizers: from raw text to ids and back, one kind a file.

    class Tokenizer:
        vocabulary_size: int   # in use, after train or load: ids are in [0, vocabulary_size)
        separator: int | None  # the id that stands between the two texts of a pair
        mask: int | None       # the id that stands in place of a hidden piece
        def train(self, texts: Iterable[str]) -> None           # one pass over the training part
        def encode(self, text: str) -> np.ndarray               # int32 [length]
        def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]  # optional: the same, faster
        def encode_offsets(self, texts) -> list[(ids, offsets)] # optional: which characters each is of
        def template(self) -> (before, between, after) or None  # optional: ids that it sets around texts
        def tokens(self, ids) -> list[str]                      # what the ids stand for, to be read
        def save(self, folder), def load(self, folder)          # tokenizer.json in `folder`
        def identity(self) -> str                               # optional: of a file that it reads

`encode` cleans first (data/cleaning.py). The ids of `SPECIAL` are the same in all that are trained here.
"""

SPECIAL = ("<padding>", "<unknown>", "<separator>", "<mask>")
PADDING, UNKNOWN, SEPARATOR, MASK = range(len(SPECIAL))
