"""The bag of n-grams against loops in NumPy, and what must not matter to it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.models.bag import VARIANTS, Model
from tests.ngrams_by_loop import hashed, ngrams

VOCABULARY, CLASSES, BUCKETS = 6, 3, 40  # so few that words repeat and n-grams collide
LENGTHS = np.array([7, 3, 1, 5, 0, 2, 7, 6])
MASK = np.arange(7) < LENGTHS[:, None]
TOKENS = np.where(MASK, np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape), 0)
PRESENCE = np.random.default_rng(1).random(MASK.shape).astype(np.float32)
FORMS = {
    "fasttext": {"width": 4},
    "linear": {},
    "naive_bayes": {"naive_bayes": True, "scale": 0.3},
}


def build(form, **fields):
    """A model with random variables everywhere, so that nothing is zero by chance."""
    model = Model(VOCABULARY, CLASSES, **{"n": 2, "buckets": BUCKETS, **FORMS[form], **fields})
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    rng = np.random.default_rng(2)
    return model, jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), variables)


def by_loop(model, variables, presence=None):
    """The logits of each text, one distinct n-gram after the other."""
    params, logits = variables["params"], []
    for t, (row, length) in enumerate(zip(TOKENS, LENGTHS, strict=True)):
        there = np.ones(length) if presence is None else presence[t, :length]
        first = max(length - model.ending, 0) if model.ending else length
        total = 0.0
        for start, weight in ((0, 1.0), (first, model.ending_weight)):
            for i, places in ngrams(row[start:length], model.n, model.buckets).items():
                share = weight * there[start:][list(places[0])].mean()
                if "embed" in params:
                    total += share * params["embed"]["embedding"][i]
                elif "naive_bayes" in variables:
                    total += share * params["embedding"][i] * variables["naive_bayes"]["ratios"][i]
                else:
                    total += share * params["embedding"][i]
        number = max(len(ngrams(row[:length], model.n, model.buckets)), 1)
        total = total / {"sum": 1.0, "mean": number, "sqrt": number**0.5}[model.pooling]
        if "embed" in params:
            total = np.broadcast_to(total, (model.width,)) @ params["head"]["kernel"]
        logits.append(total + params.get("head", params)["bias"])
    return np.stack(np.broadcast_arrays(*logits))


@pytest.mark.parametrize("presence", [None, PRESENCE])
@pytest.mark.parametrize("pooling", ["sum", "mean", "sqrt"])
@pytest.mark.parametrize("form", FORMS)
def test_logits_equal_those_of_a_loop(form, pooling, presence):
    for n in (1, 2, 3):
        model, variables = build(form, pooling=pooling, n=n)
        logits = model.apply(variables, TOKENS, MASK, presence=presence)
        assert logits.dtype == jnp.float32
        want = by_loop(model, variables, presence)
        np.testing.assert_allclose(logits, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("presence", [None, PRESENCE])
@pytest.mark.parametrize("ending", [1, 3, 7, 20])
@pytest.mark.parametrize("form", FORMS)
def test_ngrams_of_the_ending_count_more(form, ending, presence):
    fields = {"pooling": "sqrt", "n": 3, "ending": ending, "ending_weight": 0.7}
    model, variables = build(form, **fields)
    logits = model.apply(variables, TOKENS, MASK, presence=presence)
    want = by_loop(model, variables, presence)
    np.testing.assert_allclose(logits, want, rtol=1e-5, atol=1e-5)
    # One that is as long as the text is the text again.
    if ending >= MASK.shape[1]:
        plain = build(form, pooling="sqrt", n=3)[0].apply(
            variables, TOKENS, MASK, presence=presence
        )
        nothing = model.apply(variables, TOKENS, np.zeros_like(MASK), presence=presence)
        np.testing.assert_allclose(logits - nothing, 1.7 * (plain - nothing), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", [0, 3])
@pytest.mark.parametrize("form", FORMS)
def test_neither_the_ids_nor_the_amount_of_padding_matter(form, ending):
    model, variables = build(form, n=3, ending=ending)
    want = model.apply(variables, TOKENS, MASK)
    got = model.apply(variables, np.where(MASK, TOKENS, 5), MASK)
    np.testing.assert_array_equal(got, want)
    wide = np.pad(TOKENS, ((0, 0), (0, 5))), np.pad(MASK, ((0, 0), (0, 5)))
    np.testing.assert_allclose(model.apply(variables, *wide), want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_feature_that_no_text_has_may_be_not_a_number(form):
    model, variables = build(form, n=1)
    used = {hashed([i], BUCKETS) for i in range(1, VOCABULARY)}
    unused = np.array([i > 0 and i not in used for i in range(BUCKETS)])

    def poison(x):
        return np.where(unused[:, None], np.nan, x) if len(x) == BUCKETS else x

    got = model.apply(jax.tree.map(poison, variables), TOKENS, MASK)
    np.testing.assert_array_equal(got, model.apply(variables, TOKENS, MASK))


@pytest.mark.parametrize("form", FORMS)
def test_order_matters_to_longer_ngrams_alone(form):
    for n in (1, 2):
        model, variables = build(form, n=n, buckets=1000)
        forth = model.apply(variables, TOKENS[:1], MASK[:1])
        back = model.apply(variables, TOKENS[:1, ::-1], MASK[:1])
        assert np.allclose(forth, back, atol=1e-5) == (n == 1)


def test_a_word_counts_once_however_often_it_stands_there():
    model, variables = build("linear", n=1, pooling="sum")
    once, often = (
        model.apply(variables, np.full((1, k), 3), np.ones((1, k), bool)) for k in (1, 9)
    )
    np.testing.assert_array_equal(once, often)


@pytest.mark.parametrize("form", FORMS)
def test_a_text_without_tokens_gets_the_bias_and_not_a_nan(form):
    model, variables = build(form)
    params = variables["params"]
    bias = params["head"]["bias"] if "head" in params else params["bias"]
    logits = model.apply(variables, TOKENS, np.zeros_like(MASK))
    np.testing.assert_allclose(logits, np.tile(bias, (len(TOKENS), 1)), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_presence_of_one_everywhere_changes_nothing(form):
    model, variables = build(form, n=3)
    got = model.apply(variables, TOKENS, MASK, presence=np.ones_like(PRESENCE))
    np.testing.assert_allclose(got, model.apply(variables, TOKENS, MASK), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_logits_are_affine_in_presence(form):
    """So that integrated gradients need one point, and are exact."""
    model, variables = build(form, n=3, ending=3)

    def logits(presence):
        return model.apply(variables, TOKENS, MASK, presence=jnp.asarray(presence, jnp.float32))

    ends = logits(np.zeros_like(PRESENCE)), logits(np.ones_like(PRESENCE))
    middle = logits(np.full_like(PRESENCE, 0.25))
    np.testing.assert_allclose(middle, 0.75 * ends[0] + 0.25 * ends[1], rtol=1e-4, atol=1e-5)
    # The gradient's sum is the whole difference.
    gradient = jax.grad(lambda presence: logits(presence)[:, 1].sum())(PRESENCE)
    np.testing.assert_allclose(gradient.sum(1), (ends[1] - ends[0])[:, 1], rtol=1e-4, atol=1e-5)


def test_without_a_word_half_of_its_bigrams_is_left():
    model, variables = build("linear", pooling="sum", buckets=1000)
    table, bias = variables["params"]["embedding"], variables["params"]["bias"]
    tokens, mask = np.array([[3, 1, 4]]), np.ones((1, 3), bool)
    presence = np.array([[1, 0, 1]], np.float32)
    got = model.apply(variables, tokens, mask, presence=presence)
    weights = {(3,): 1, (1,): 0, (4,): 1, (3, 1): 0.5, (1, 4): 0.5}
    want = bias + sum(w * table[hashed(gram, 1000)] for gram, w in weights.items())
    np.testing.assert_allclose(got[0], want, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_equal_the_slope_of_the_loop(form):
    model, variables = build(form, pooling="sqrt", ending=3)
    fixed = {k: v for k, v in variables.items() if k != "params"}
    weights = np.random.default_rng(4).normal(size=(len(TOKENS), CLASSES)).astype(np.float32)

    def objective(params):
        return (model.apply({"params": params, **fixed}, TOKENS, MASK) * weights).sum()

    gradients = jax.grad(objective)(variables["params"])

    def along(distance):
        """The loop's objective, moved from the parameters along the gradient, in float64."""
        moved = jax.tree.map(
            lambda x, g: x.astype(np.float64) + distance * np.asarray(g),
            variables["params"],
            gradients,
        )
        return (by_loop(model, {"params": moved, **fixed}) * weights).sum()

    slope = (along(1e-4) - along(-1e-4)) / 2e-4
    squares = sum(float((g**2).sum()) for g in jax.tree.leaves(gradients))
    np.testing.assert_allclose(slope, squares, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_split_over_devices_gives_the_same(form):
    model, variables = build(form, n=3, ending=3)
    fixed = {k: v for k, v in variables.items() if k != "params"}

    @jax.jit
    def step(params, tokens, mask):
        def loss(params):
            logits = model.apply({"params": params, **fixed}, tokens, mask)
            return (logits**2).sum(), logits

        return jax.value_and_grad(loss, has_aux=True)(params)

    want = step(variables["params"], TOKENS, MASK)
    mesh = sharding.make_mesh({"data": -1})
    with sharding.use(mesh):
        got = step(variables["params"], *sharding.put((TOKENS, MASK), mesh))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_naive_bayes_starts_as_naive_bayes_itself():
    model = Model(VOCABULARY, CLASSES, 2, 1000, naive_bayes=True, scale=0.5, pooling="sum")
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    ratios = np.random.default_rng(2).normal(size=(1000, CLASSES)).astype(np.float32)
    logits = model.apply({**variables, "naive_bayes": {"ratios": ratios}}, TOKENS, MASK)
    for row, m, got in zip(TOKENS, LENGTHS, logits, strict=True):
        want = 0.5 * ratios[list(ngrams(row[:m], 2, 1000))].sum(0)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_naive_bayes_has_no_width():
    with pytest.raises(UserError, match="no width"):
        build("fasttext", naive_bayes=True)


def test_dropout_leaves_out_whole_features_and_keeps_the_mean():
    model, variables = build("linear", n=1, pooling="sum", dropout=0.5)
    one = variables["params"]["embedding"][hashed([5], BUCKETS)]
    keys = jax.random.split(jax.random.key(3), 2000)

    tokens, mask = np.full((1, 1), 5), np.ones((1, 1), bool)

    def logits(key):
        return model.apply(variables, tokens, mask, train=True, rngs={"dropout": key})[0]

    sampled = np.asarray(jax.vmap(logits)(keys)) - variables["params"]["bias"]
    kept = np.isclose(sampled, 2 * one, atol=1e-5).all(1)
    dropped = np.isclose(sampled, 0, atol=1e-5).all(1)
    assert (kept | dropped).all()
    assert 0.45 < kept.mean() < 0.55


def test_parameters_have_the_names_of_the_public_interface():
    names = {
        form: sorted(
            "/".join(str(k.key) for k in path)
            for path, _ in jax.tree_util.tree_leaves_with_path(build(form)[1])
        )
        for form in FORMS
    }
    assert names == {
        "fasttext": ["params/embed/embedding", "params/head/bias", "params/head/kernel"],
        "linear": ["params/bias", "params/embedding"],
        "naive_bayes": ["naive_bayes/ratios", "params/bias", "params/embedding"],
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_builds_and_computes_in_bfloat16(variant):
    fields = {"dtype": jnp.bfloat16, **VARIANTS[variant], "buckets": 1000}
    model = Model(VOCABULARY, CLASSES, **fields)
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(variables))
    logits = model.apply(variables, TOKENS, MASK)
    assert logits.shape == (len(TOKENS), CLASSES) and logits.dtype == jnp.float32
