"""What a config may say is known before anything is built: keys, and the types of their values."""

import pytest

from bigmodel_jax import schema
from bigmodel_jax.config import complete
from bigmodel_jax.errors import UserError
from configs import imdb


@pytest.mark.parametrize(
    "change, why",
    [
        ({"hiden": 8}, "config.model (textcnn) has no key 'hiden'"),
        ({"width": "wide"}, "config.model.width is 'wide', but it is a whole number"),
        ({"width": True}, "config.model.width is True, but it is a whole number"),
        ({"dropout": "0.5"}, "config.model.dropout is '0.5', but it is a number"),
        ({"pooling": "maxi"}, "but it is one of 'max', 'mean', 'attention'"),
        ({"dtype": "bfloat17"}, "config.model.dtype is 'bfloat17', but it is a dtype"),
    ],
)
def test_a_key_or_a_value_that_the_model_cannot_have_is_named(change, why):
    config = complete(imdb.get_config("textcnn,tiny").to_dict())
    fitting = {"dropout": 0, "pooling": "mean", "dtype": "float32", "width": None}
    schema.check({**config, "model": {**config["model"], **fitting}})
    with pytest.raises(UserError) as caught:
        schema.check({**config, "model": {**config["model"], **change}})
    assert why in str(caught.value)
