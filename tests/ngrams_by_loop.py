"""Hashed n-grams one after the other, in Python's own integers: what the device must agree with."""


def final_mix(h: int) -> int:
    """The 32-bit finaliser of MurmurHash3, after Appleby's fmix32."""
    h ^= h >> 16
    h = h * 0x85EBCA6B % 2**32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % 2**32
    return h ^ h >> 16


def hashed(words, buckets: int) -> int:
    """The id of one n-gram, a sequence of word ids."""
    h = 0
    for word in words:
        h = (h * 0x9E3779B1 + final_mix(int(word) + 1)) % 2**32
    return final_mix(h) % buckets


def ngrams(row, n: int, buckets: int) -> dict[int, list[tuple[int, ...]]]:
    """The places of each distinct n-gram of a text without padding, by its id, the first first."""
    found: dict[int, list[tuple[int, ...]]] = {}
    for order in range(1, n + 1):
        for start in range(len(row) - order + 1):
            places = tuple(range(start, start + order))
            found.setdefault(hashed([row[i] for i in places], buckets), []).append(places)
    return found
