"""Trains BPE, WordPiece and Unigram vocabularies by the `tokenizers` package, the same every time.

`tokenizers` counts words in a hash table of random order, which changes what WordPiece and Unigram
learn from run to run (BPE is exact). Here the words are counted first, in one pass and in bounded
memory, and each kind is given what takes the chance out of it; the functions say how.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bigmodel_jax.data.tokenizers import SPECIAL, UNKNOWN
from bigmodel_jax.data.wordwise import clean_words

UNKNOWN_NAME = SPECIAL[UNKNOWN]

# Characters of distinct words that are remembered (some 400 MB). Once there are as many, only words
# seen before are counted on: the order of examples is mixed, so that the first are a fair sample.
MEMORY = 2**24
# Characters that are handed to `tokenizers`; all counts of a larger corpus are divided alike.
CORPUS = 2**27
BETWEEN = "\ue000"  # two raw words, in what is handed over: a private character, in no text


def count_words(
    texts: Iterable[str], cut: Callable[[str], list[str]] = clean_words
) -> Counter[str]:
    """How often each word is in the texts; `cut` gives the words of a text."""
    counts: Counter[str] = Counter()
    left = MEMORY
    for text in texts:
        words = cut(text)
        # Not set.difference, which goes through all of a Counter.
        new = {word for word in set(words) if word not in counts}
        if left > 0:
            left -= sum(map(len, new))
        else:
            words = [word for word in words if word not in new]
        counts.update(words)
    return counts


def train_bpe(counts: Counter[str], size: int, lowercase: bool, raw: bool = False) -> Tokenizer:
    """Byte-level BPE (GPT-2's): every text can be written, nothing is unknown.

    Args:
        raw: words are what lies between two cuts of `pretokens.byte_level`, spaces and line ends
            among them; else a space goes before each.
    """
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    byte_level: Any = pre_tokenizers.ByteLevel(add_prefix_space=not raw)
    tokenizer.pre_tokenizer = byte_level
    if raw:
        between = pre_tokenizers.Split(BETWEEN, "removed")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([between, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(_corpus(counts, BETWEEN if raw else " "), trainer)
    tokenizer.pre_tokenizer = byte_level
    return _without_added_tokens(json.loads(tokenizer.to_str()))


def train_wordpiece(counts: Counter[str], size: int, lowercase: bool) -> Tokenizer:
    """WordPiece (BERT's): words, punctuation and ideographs apart; "##" marks what goes on.

    The characters get their ids before training, in their own order. Left to `tokenizers`, those
    that go on ("##a") are numbered by chance, and ties between pairs are broken by number.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN_NAME))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=lowercase
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts = _frequent_characters(
        counts, tokenizer.normalizer.normalize_str, (size - len(SPECIAL)) // 2
    )
    first, later = set(), set()
    for word in counts:
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(word):
            first.update(piece)
            later.update(f"##{c}" for c in piece[1:])
    alphabet = [*sorted(first), *sorted(later)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=[*SPECIAL, *alphabet], show_progress=False
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(_corpus(counts), trainer)
    return _without_added_tokens(json.loads(tokenizer.to_str()))


def train_unigram(counts: Counter[str], size: int, lowercase: bool) -> Tokenizer:
    """Unigram (SentencePiece's); "▁" marks where a word begins.

    The sums of its training are made in an order of chance, and differ in the last of 16 digits:
    scores are rounded to four, which is far more than a segmentation depends on, and equal ones
    put in the order of their pieces. Characters too rare for a score of their own, which
    `tokenizers` ranks by chance, all get the lowest.
    """
    tokenizer = Tokenizer(models.Unigram())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    normalize = tokenizer.normalizer.normalize_str if lowercase else str
    counts = _frequent_characters(counts, normalize, (size - len(SPECIAL)) // 2)
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), unk_token=UNKNOWN_NAME, show_progress=False
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(_corpus(counts), trainer)
    state = json.loads(tokenizer.to_str())
    state["model"]["vocab"] = _canonical(state["model"]["vocab"])
    return _without_added_tokens(state)


def _canonical(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """What is the same in every training of a Unigram vocabulary."""
    pieces = pieces[len(SPECIAL) :]
    lowest = min((score for piece, score in pieces if len(piece) > 1), default=0.0)
    scores = {p: round(max(s, lowest) if len(p) == 1 else s, 4) for p, s in pieces}
    # As a name that no clean text holds: a piece, unlike theirs, is found in the text.
    special = [(f"\0{name}", 0.0) for name in SPECIAL]
    return [*special, *sorted(scores.items(), key=lambda item: (-item[1], item[0]))]


def _without_added_tokens(state: dict) -> Tokenizer:
    """The tokenizer of its file's content, but that it finds no special token's name in a text."""
    return Tokenizer.from_str(json.dumps({**state, "added_tokens": []}))


TRAINERS: dict[str, Callable[[Counter[str], int, bool], Tokenizer]] = {
    "bpe": train_bpe,
    "wordpiece": train_wordpiece,
    "unigram": train_unigram,
}


def _corpus(counts: Counter[str], between: str = " ") -> Iterator[str]:
    """A text that has the words as often as they were counted, in alphabetical order."""
    total = sum((len(word) + 1) * n for word, n in counts.items())
    shrink = -(-total // CORPUS)
    for word in sorted(counts):
        left = -(-counts[word] // shrink)
        while left:
            some = min(left, 10_000)
            yield between.join([word] * some)
            left -= some


def _frequent_characters(
    counts: Counter[str], normalize: Callable[[str], str], most: int
) -> Counter[str]:
    """Normalised words without their rarest characters, so that at most `most` are left."""
    normal: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for word, n in counts.items():
        for part in normalize(word).split():
            normal[part] += n
            for c in part:
                characters[c] += n
    ranked = sorted(characters, key=lambda c: (-characters[c], c))
    rare = dict.fromkeys(map(ord, ranked[most:]), " ")
    if not rare:
        return normal
    left: Counter[str] = Counter()
    for word, n in normal.items():
        for part in word.translate(rare).split():
            left[part] += n
    return left
