"""An ensemble is its members side by side: none changes what another computes or learns."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import config, sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.models.ensemble import Model
from bigmodel_jax.tasks.classify import Task

BATCH, LENGTH, VOCABULARY, CLASSES = 8, 6, 20, 3
LENGTHS = np.array([6, 2, 4, 1, 5, 3, 6, 6])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
TOKENS = np.where(MASK, np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape), 0)
BATCH_OF_TEXTS = {
    "tokens": TOKENS,
    "mask": MASK,
    "label": np.arange(BATCH) % CLASSES,
    "valid": np.arange(BATCH) != 3,
}
MEMBERS = {
    "words": dict(name="bag", n=2, buckets=50, naive_bayes=True, pooling="sqrt"),
    "phrases": dict(name="textcnn", width=4, features=4, sizes=(2, 3), dropout=0.0),
    "order": dict(name="lstm", width=4, hidden=4),
}


def build(members=MEMBERS):
    model = Model(VOCABULARY, CLASSES, members)
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    rng = np.random.default_rng(1)
    return model, jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), variables)


def alone(name, variables):
    """A member as the whole model, with its own part of the variables."""
    model = config.build(
        "models", {**MEMBERS[name], "vocabulary_size": VOCABULARY, "num_classes": CLASSES}
    )
    return model, {kind: tree[name] for kind, tree in variables.items() if name in tree}


def loss_and_gradients(model, variables):
    """Of a step of training: the mean loss of the real examples."""

    def objective(params):
        given = {**variables, "params": params}
        loss, _ = Task(model).loss(given, BATCH_OF_TEXTS, jax.random.key(0), train=True)
        return loss.total / loss.weight

    return jax.value_and_grad(objective)(variables["params"])


@pytest.mark.parametrize("presence", [None, np.random.default_rng(2).random(MASK.shape)])
def test_each_member_answers_as_it_would_alone(presence):
    presence = None if presence is None else presence.astype(np.float32)
    model, variables = build()
    logits = model.apply(variables, TOKENS, MASK, presence=presence)
    assert logits.shape == (len(MEMBERS), BATCH, CLASSES) and logits.dtype == jnp.float32
    for got, name in zip(logits, MEMBERS, strict=True):
        part, its_variables = alone(name, variables)
        want = part.apply(its_variables, TOKENS, MASK, presence=presence)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_each_member_learns_as_it_would_alone():
    """The loss is the mean over the members, so that a gradient is divided by their number."""
    model, variables = build()
    loss, gradients = loss_and_gradients(model, variables)
    losses = []
    for name in MEMBERS:
        own_loss, want = loss_and_gradients(*alone(name, variables))
        losses.append(own_loss)
        for path, got in trees.flatten(gradients[name]).items():
            own, many = trees.flatten(want)[path], got * len(MEMBERS)
            np.testing.assert_allclose(many, own, rtol=1e-4, atol=1e-6, err_msg=f"{name}/{path}")
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-6)


def test_the_prediction_averages_the_members_log_probabilities():
    model, variables = build()
    got = Task(model).predict(variables, BATCH_OF_TEXTS)
    mean = 0.0
    for name in MEMBERS:
        part, its_variables = alone(name, variables)
        mean += np.log(Task(part).predict(its_variables, BATCH_OF_TEXTS)["probabilities"])
    mean /= len(MEMBERS)
    np.testing.assert_allclose(got["logits"], mean, rtol=1e-4, atol=1e-5)
    want = np.exp(mean) / np.exp(mean).sum(1, keepdims=True)
    np.testing.assert_allclose(got["probabilities"], want, rtol=1e-4, atol=1e-6)


def test_members_draw_their_own_dropout():
    twin = dict(MEMBERS["phrases"], dropout=0.5)
    model, variables = build({"a": twin, "b": twin})
    same = {"params": {name: variables["params"]["a"] for name in "ab"}}
    still = model.apply(same, TOKENS, MASK)
    np.testing.assert_array_equal(still[0], still[1])
    a, b = model.apply(same, TOKENS, MASK, train=True, rngs={"dropout": jax.random.key(0)})
    assert not np.allclose(a, b)


def test_a_members_name_begins_the_paths_of_its_parameters():
    variables = build()[1]
    for name in MEMBERS:
        _, its_variables = alone(name, variables)
        assert its_variables["params"].keys() == variables["params"][name].keys()
    assert set(variables["params"]) == set(MEMBERS)
    assert set(trees.flatten(variables["naive_bayes"])) == {"words/ratios"}


def test_vocabulary_and_classes_reach_every_member():
    model, variables = build()
    params = variables["params"]
    for name in ("phrases", "order"):
        assert params[name]["embed"]["embedding"].shape == (VOCABULARY, 4)
        assert params[name]["head"]["bias"].shape == (CLASSES,)
    assert params["words"]["bias"].shape == (CLASSES,)
    small = dict(MEMBERS, order=dict(MEMBERS["order"], vocabulary_size=VOCABULARY - 1))
    with pytest.raises(UserError, match="vocabulary_size is 19, but the data needs 20"):
        build(small)


def test_naive_bayes_is_a_matter_of_the_member_that_has_it():
    model, _ = build()
    assert model.naive_bayes
    assert not Model(VOCABULARY, CLASSES, {"order": MEMBERS["order"]}).naive_bayes
    words = alone("words", {})[0]
    got, want = (jax.jit(m.features)(TOKENS, MASK) for m in (model, words))
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_a_batch_split_over_devices_gives_the_same():
    model, variables = build()
    step = jax.jit(lambda variables, *batch: model.apply(variables, *batch))
    want = step(variables, TOKENS, MASK)
    mesh = sharding.make_mesh({"data": -1})
    with sharding.use(mesh):
        got = step(variables, *sharding.put((TOKENS, MASK), mesh))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "an ensemble needs members"),
        ({"words": {"n": 2}}, r"members\.words has no model"),
        ({"words": "bag"}, r"members\.words has no model"),
        ({"words": dict(name="bog")}, "no 'bog' in models. Did you mean 'bag'"),
        ({"words": dict(name="bag", bukets=9)}, "no option 'bukets'. Did you mean 'buckets'"),
    ],
)
def test_a_mistake_in_a_member_is_named(members, message):
    with pytest.raises(UserError, match=message):
        build(members)
