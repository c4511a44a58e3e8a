"""From raw text to clean text, and from clean text to words, for any script.

`clean` takes out what is not language (HTML, control characters, Unicode's many ways to write the
same thing); `words` cuts at spaces and punctuation, and between the characters of scripts that
are written without spaces. Both are pure functions of the text, with nothing learnt.
"""

import html
import re
import unicodedata

# An attribute needs its "=", so that "if a <b and c> d" is prose and `<b class="x">` is not.
_ATTRIBUTES = r"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?"""
# What is never closed runs to the end of the text, as in a browser.
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
_INLINE = re.compile(
    rf"</?(?:a|abbr|b|big|cite|code|em|font|i|mark|s|small|span|strong|sub|sup|tt|u){_ATTRIBUTES}>",
    re.IGNORECASE,
)
_TAG = re.compile(rf"</?[a-z][a-z0-9:-]*{_ATTRIBUTES}>|<!doctype[^<>]*>", re.IGNORECASE)

# Format characters that carry no meaning: soft hyphen, direction marks, word joiners, the byte
# order mark. The zero width joiners stay (Persian and Indic spelling, emoji).
_INVISIBLE = re.compile("[\u00ad\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
# Control characters, and the zero width space, which separates words in Khmer.
_BLANK = re.compile("[\x00-\x1f\x7f-\x9f\u200b]+")
_SURROGATES = re.compile("[\ud800-\udfff]")

# Scripts written without spaces: Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar. Digits of the
# last four stay single characters too.
_UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303c\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59\u0e80-\u0eff\u1780-\u17d3\u17dc-\u17e9"
    "\u1000-\u1049\u1050-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"
)
# Accents, vowel signs and the like, which Python's \w leaves out (8 ms, once).
_MARKS = "".join(c for c in map(chr, range(0x300, 0x20000)) if unicodedata.category(c)[0] == "M")
# Each class beyond ASCII is tried only where `_WIDE` holds: eight times as fast on English.
_WIDE = r"(?![\x00-\x7f])"
_LETTERS = rf"(?:[A-Za-z0-9]++|{_WIDE}[^\W_{_UNSPACED}]++)++"
# One character of such a script, with its marks.
UNSPACED = re.compile(rf"{_WIDE}(?![{_MARKS}])[{_UNSPACED}][{_MARKS}]*")
_WORD = re.compile(
    rf"{_LETTERS}(?:"  # a word or number, going on after
    rf"'{_LETTERS}"  # an apostrophe: don't, l'amour
    rf"|(?<=\d)[.,:/](?=\d){_LETTERS}"  # a sign between digits: 3.5, 1,000, 7:30, 10/10
    rf"|{_WIDE}[{_MARKS}]++(?:{_LETTERS})?"  # a mark
    r")*+"
    rf"|{UNSPACED.pattern}"
    r"|[^\w\s]"  # punctuation, symbols, emoji, one by one
)
_APOSTROPHES = str.maketrans("\u2019\u02bc", "''")


def clean(text: str) -> str:
    """Plain text from text with HTML: no tags, entities or control characters, NFKC, one space.

    Tags that lay out, such as `<br />`, leave a space, those inside a word (`<b>`) leave nothing.
    A "<" that begins no tag stays: "a < b". Entities are replaced after the tags are gone, so that
    "&lt;b&gt;" is text.
    """
    if "<" in text:
        text = _TAG.sub(" ", _INLINE.sub("", _HIDDEN.sub(" ", text)))
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _SURROGATES.sub("\ufffd", text)  # halves of characters, which UTF-8 cannot write
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    text = " ".join(text.split())  # several times as fast as a pattern
    return text if text.isprintable() else " ".join(_BLANK.sub(" ", text).split())


def words(text: str, lowercase: bool = True) -> list[str]:
    """Cuts clean text into words, numbers, punctuation and single unspaced characters.

    "Don't miss it: 10/10!" -> ["don't", "miss", "it", ":", "10/10", "!"];
    "我爱NLP" -> ["我", "爱", "nlp"].
    """
    if not text.isascii():
        text = text.translate(_APOSTROPHES)
    return _WORD.findall(text.lower() if lowercase else text)
