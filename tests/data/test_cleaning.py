"""What counts as text, and what counts as a word."""

import pytest

from bigmodel_jax.data.cleaning import clean, words


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("one<br /><br />two<BR>three", "one two three"),
        ("un<b>believ</b>able <i class='x'>film</i>", "unbelievable film"),
        ('<p style="a: b">said</p><hr/>more', "said more"),
        ("kept<!-- gone --><script>if (a < b) gone();</script> too", "kept too"),
        ("a < b and c > d", "a < b and c > d"),
        ("if a <b and c> d, I <3 you", "if a <b and c> d, I <3 you"),
        ("<joe@example.com>", "<joe@example.com>"),
        ("Tom &amp; Jerry&nbsp;&#39;s &lt;b&gt;", "Tom & Jerry 's <b>"),
    ],
)
def test_tags_go_and_prose_stays(raw, expected):
    assert clean(raw) == expected


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufb01ne\u2026", "fine..."),
        ("\ufeffa\u00adb\u200ec", "abc"),
        (" a\x00b\t\r\nc\u2028d\x85e ", "a b c d e"),
        ("half a character \ud83d", "half a character \ufffd"),
        ("", ""),
    ],
)
def test_unicode_has_one_form_and_no_control_characters(raw, expected):
    assert clean(raw) == expected
    assert clean(expected) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Don't miss it: 10/10!", ["don't", "miss", "it", ":", "10/10", "!"]),
        ("It\u2019s 3.5, 1,000 or 7:30.", ["it's", "3.5", ",", "1,000", "or", "7:30", "."]),
        ("'quoted' well-made a_b", ["'", "quoted", "'", "well", "-", "made", "a", "b"]),
        ("1980s mp3 co2", ["1980s", "mp3", "co2"]),
        ("Ünïcödé ПРИВЕТ", ["ünïcödé", "привет"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs do not cut a word
        ("한국어 영화", ["한국어", "영화"]),  # Korean writes spaces
        ("great 👍 :)", ["great", "👍", ":", ")"]),
        ("", []),
    ],
)
def test_words_are_cut_at_spaces_and_punctuation(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("我爱电影。", ["我", "爱", "电", "影", "。"]),
        ("カタカナとひらがな", list("カタカナとひらがな")),
        ("ที่นี่", ["ที่", "นี่"]),  # a Thai consonant keeps its vowel and tone signs
        ("ລາວ", ["ລ", "າ", "ວ"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("\U00020000\U0002a6d6", ["\U00020000", "\U0002a6d6"]),  # Han beyond the first plane
    ],
)
def test_scripts_without_spaces_are_cut_into_characters(text, expected):
    assert words(text) == expected


def test_scripts_mix_in_one_text():
    assert words("我用JAX训练v2.0模型, isn't it?") == [
        *["我", "用", "jax", "训", "练", "v2.0", "模", "型", ",", "isn't", "it", "?"]
    ]


def test_case_is_kept_on_request():
    assert words("A Great FILM", lowercase=False) == ["A", "Great", "FILM"]


def test_hostile_text_takes_linear_time():
    for text in ("<" * 100_000, "<a " * 30_000, "a'" * 100_000, "&" * 100_000, "<!--" * 20_000):
        words(clean(text))
