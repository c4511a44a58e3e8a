"""Running text is cut into words as files of tagged words are."""

import pytest

from bigmodel_jax.data.text_words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("U.N. official Ekeus heads for Baghdad.", "U.N. official Ekeus heads for Baghdad ."),
        ("U.N. official Ekeus heads for Baghdad .", "U.N. official Ekeus heads for Baghdad ."),
        ('He met "Mr. J. Smith" (53). Why?!', 'He met " Mr. J. Smith " ( 53 ) . Why ? !'),
        ("Ann's dog, in the U.S.", "Ann 's dog , in the U.S."),
        ("Germany 1-0; $3.5 -- ... :-)", "Germany 1-0 ; $3.5 -- ... :-)"),
        ("«Qué?» l'amour", "« Qué ? » l'amour"),
        ("我爱NLP，你好。", "我 爱 NLP ， 你 好 。"),
        ("北京 欢迎 你", "北京 欢迎 你"),
        ("", ""),
        (" \t ", ""),
        ('"', '"'),
    ],
)
def test_punctuation_around_words_stands_alone(text, expected):
    found = words(text)
    assert [word.text for word in found] == expected.split()
    assert all(text[word.start :].startswith(word.text) for word in found)
    assert "".join(word.text for word in found) == "".join(text.split())  # nothing is lost
