"""Cuts raw text where a tokenizer of the package `tokenizers` cuts it in any case.

What lies between two such cuts can be encoded on its own, once, and remembered (data/wordwise.py):
the ids are the same, several times as fast.
"""

import json
import re
from collections.abc import Callable

from tokenizers import Tokenizer

# Unicode's White_Space, as the regular expressions of `tokenizers` have it; Python's \s has more.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# The cuts of GPT-2's expression that need no Unicode tables: after a word of ASCII letters that no
# other character goes on, and around white space, of which the last joins the word behind it.
_BYTE_LEVEL = re.compile(
    rf" ?[A-Za-z]++(?![^\x00-\x7f])|[{_SPACE}]+(?![^{_SPACE}])| ?[^{_SPACE}]+|[{_SPACE}]+"
)
_BLANKS = re.compile(r"[^ \t\n\r]+")

Cut = Callable[[str], list[str]]


def byte_level(text: str) -> list[str]:
    """Cuts between the pieces of GPT-2's pre-tokenizer, not all of them; loses nothing."""
    return _BYTE_LEVEL.findall(text)


def cut_of(tokenizer: Tokenizer) -> Cut | None:
    """What cuts text for this tokenizer, or None where that is not known to be exact."""
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:  # these are found before anything is cut
        content = token["content"]
        strips = token["lstrip"] or token["rstrip"] or token["single_word"]
        if strips or content[:1].isalpha() or re.search(r"\s", content):
            return None
    cutter, normalizer = state["pre_tokenizer"] or {}, state["normalizer"] or {}
    kind, normal = cutter.get("type"), normalizer.get("type")
    if kind == "ByteLevel" and normal in (None, "Lowercase"):
        exact = cutter.get("use_regex", True) and not cutter["add_prefix_space"]
        return byte_level if exact else None
    first = (cutter.get("pretokenizers") or [{}])[0].get("type")
    if (kind == "BertPreTokenizer" and normal == "BertNormalizer") or (
        first == "WhitespaceSplit" and normal in (None, "Lowercase")
    ):
        return _BLANKS.findall
    return None
