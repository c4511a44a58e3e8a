"""What recommending learns from: ratings, drawn negatives, the items that come next."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import bag, factors, gpt
from bigmodel_jax.tasks import next_item, recommend

ITEMS = 9
BATCH = {
    "user": np.array([1, 2, 0], np.int32),
    "history": np.array([[0, 3, 1, 4], [0, 0, 0, 2], [0, 0, 0, 0]], np.int32),
    "item": np.array([[7, 5], [0, 8], [0, 0]], np.int32),
    "rating": np.array([[5, 2], [0, 4], [0, 0]], np.float32),
    "mask": np.array([[True, True], [False, True], [False, False]]),
    "valid": np.array([True, True, False]),
}
ON_DEVICE = jax.tree.map(jnp.asarray, BATCH)


def test_the_squared_loss_is_of_the_ratings_there_are_and_predictions_keep_to_the_scale():
    task = recommend.Task(factors.Model(3, ITEMS, rank=2), rating_scale=(1.0, 5.0))
    variables = task.fit(task.init(jax.random.key(0), BATCH), [BATCH, BATCH])
    mean = np.float32(11 / 3)
    assert variables["ratings"]["mean"] == pytest.approx(mean)
    loss, _ = task.loss(variables, BATCH, jax.random.key(0), train=True)
    inputs = task.inputs(BATCH)
    values = task.model.apply({"params": variables["params"]}, *inputs) + mean
    right = np.square(np.asarray(values) - BATCH["rating"])[BATCH["mask"]]
    assert float(loss.total) == pytest.approx(right.sum(), rel=1e-5) and loss.weight == 3
    params = {**variables["params"], "user_bias": jnp.array([0.0, 9.0, -9.0])}
    found = task.predict({**variables, "params": params}, BATCH)["values"]
    assert np.asarray(found)[BATCH["mask"]].tolist() == [5.0, 5.0, 1.0]


def test_a_negative_is_an_item_that_the_user_has_not_rated():
    task = recommend.Task(factors.Model(3, ITEMS, rank=2), loss="binary", negatives=200)
    drawn, counted = map(np.asarray, task._negatives(ON_DEVICE, jax.random.key(3)))
    assert drawn.shape == counted.shape == (3, 400)
    assert set(drawn[0][counted[0]]) == {2, 6, 8} and set(drawn[1][counted[1]]) == {
        1,
        3,
        4,
        5,
        6,
        7,
    }
    assert not counted[1, :200].any() and not counted[2].any()  # of padding there are none
    variables = task.init(jax.random.key(0), BATCH)
    loss, _ = task.loss(variables, ON_DEVICE, jax.random.key(3), train=True)
    assert float(loss.weight) == 3 + counted.sum()


def decoder(length):
    model = gpt.Model(ITEMS, max_length=length, width=8, num_layers=1, num_heads=2)
    return next_item.Task(model, length=length)


def test_each_item_is_predicted_from_those_before_it_and_scores_are_of_what_follows_the_last():
    task = decoder(6)
    variables = task.init(jax.random.key(0), BATCH)
    loss, _ = task.loss(variables, BATCH, jax.random.key(0), train=False)
    # The first of the items 3, 1, 4 has none before it, and so has the one item of the second user.
    tokens, positions = np.array([[3, 1]], np.int32), np.array([[4, 5]], np.int32)
    logits = task.model.apply(variables, tokens, positions=positions)[0]
    nats = losses.softmax_cross_entropy(logits, np.array([1, 4]))
    assert loss.weight == 2 and float(loss.total) == pytest.approx(float(nats.sum()), rel=1e-5)
    history = {"history": np.array([[0, 3, 1]], np.int32)}
    np.testing.assert_allclose(task.scores(variables, history)[0], logits[1], rtol=1e-4, atol=1e-6)


def test_padding_before_the_history_and_what_is_older_than_the_length_change_nothing():
    task = decoder(2)
    variables = task.init(jax.random.key(0), BATCH)
    long = {**BATCH, "history": np.array([[0, 0, 5, 3, 1, 4]] * 3, np.int32)}
    short = {**BATCH, "history": np.array([[1, 4]] * 3, np.int32)}
    scores = np.asarray(task.scores(variables, short))
    np.testing.assert_array_equal(task.scores(variables, long), scores)
    own = np.take_along_axis(scores, BATCH["item"], 1)
    np.testing.assert_array_equal(task.predict(variables, {**BATCH, **short})["values"], own)


def test_what_cannot_be_is_said():
    with pytest.raises(UserError, match="loss is 'binry'. Did you mean 'binary'"):
        recommend.Task(factors.Model(3, ITEMS), loss="binry")
    with pytest.raises(UserError, match="negatives is 0"):
        recommend.Task(factors.Model(3, ITEMS), negatives=0)
    with pytest.raises(UserError, match="length is 1"):
        decoder(1)

    class Texts:
        def peek(self):
            return {"tokens": np.zeros((1, 2), np.int32)}

    for task in (recommend.Task(factors.Model(3, ITEMS)), decoder(4)):
        with pytest.raises(UserError, match='is for ratings: config.data.name = "ratings"'):
            task.check(Texts())
    with pytest.raises(UserError, match="take a decoder"):
        next_item.Task(bag.Model(ITEMS, 2))
