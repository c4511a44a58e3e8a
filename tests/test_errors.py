"""What the end of an error message offers."""

from bigmodel_jax.errors import SHOWN, nearest


def test_a_like_name_is_offered_else_all_or_the_first_of_many():
    assert nearest("lsmt", ["lstm", "bag"]) == " Did you mean 'lstm'?"
    assert nearest("zzz", ["lstm", "bag"]) == " There are: bag, lstm."
    assert nearest("zzz", []) == " There are none."
    many = nearest("zzz", [f"class {i:04}" for i in range(2000)])
    assert many.count("class") == SHOWN and many.endswith("class 0019 and 1,980 more.")
