"""The bag of features against loops in NumPy, and what must not matter to it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.models.bag import VARIANTS, Model

VOCABULARY, CLASSES = 30, 3
LENGTHS = np.array([7, 3, 1, 5])
MASK = np.arange(7) < LENGTHS[:, None]
TOKENS = np.where(MASK, np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape), 0)
FORMS = {
    "fasttext": {"width": 4},
    "linear": {},
    "naive_bayes": {"naive_bayes": True, "scale": 0.3},
}


def build(form, **fields):
    """A model with random variables everywhere, so that nothing is zero by chance."""
    model = Model(VOCABULARY, CLASSES, **FORMS[form], **fields)
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    rng = np.random.default_rng(1)
    return model, jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), variables)


def by_loop(variables, pooling, tokens=TOKENS, lengths=LENGTHS):
    """The logits of each text, one feature after the other."""
    params, logits = variables["params"], []
    for row, length in zip(tokens, lengths, strict=True):
        total = 0.0
        for i in row[:length]:
            if "embed" in params:
                total += params["embed"]["embedding"][i]
            elif "naive_bayes" in variables:
                total += params["embedding"][i] * variables["naive_bayes"]["ratios"][i]
            else:
                total += params["embedding"][i]
        total = total / {"sum": 1.0, "mean": length, "sqrt": length**0.5}[pooling]
        if "embed" in params:
            logits.append(total @ params["head"]["kernel"] + params["head"]["bias"])
        else:
            logits.append(total + params["bias"])
    return np.stack(logits)


@pytest.mark.parametrize("pooling", ["sum", "mean", "sqrt"])
@pytest.mark.parametrize("form", FORMS)
def test_logits_equal_those_of_a_loop(form, pooling):
    model, variables = build(form, pooling=pooling)
    logits = model.apply(variables, TOKENS, MASK)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, by_loop(variables, pooling), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_padding_does_not_matter_even_where_it_is_not_a_number(form):
    model, variables = build(form)
    padded = np.pad(TOKENS, ((0, 0), (0, 5))), np.pad(MASK, ((0, 0), (0, 5)))
    expected = model.apply(variables, TOKENS, MASK)
    poisoned = jax.tree.map(
        lambda x: x.copy() if x.shape[0] != VOCABULARY else np.concatenate([x[:1] * np.nan, x[1:]]),
        variables,
    )
    for given in (variables, poisoned):
        np.testing.assert_allclose(model.apply(given, *padded), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_order_does_not_matter(form):
    model, variables = build(form)
    backwards = model.apply(variables, TOKENS[:, ::-1], MASK[:, ::-1])
    np.testing.assert_allclose(
        backwards, model.apply(variables, TOKENS, MASK), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_text_without_features_gets_the_bias_and_not_a_nan(form):
    model, variables = build(form)
    params = variables["params"]
    bias = params["head"]["bias"] if "head" in params else params["bias"]
    logits = model.apply(variables, TOKENS, np.zeros_like(MASK))
    np.testing.assert_allclose(logits, np.tile(bias, (4, 1)), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_equal_the_slope_of_the_loop(form):
    model, variables = build(form, pooling="sqrt")
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
        return (by_loop({"params": moved, **fixed}, "sqrt") * weights).sum()

    slope = (along(1e-4) - along(-1e-4)) / 2e-4
    squares = sum(float((g**2).sum()) for g in jax.tree.leaves(gradients))
    np.testing.assert_allclose(slope, squares, rtol=1e-4)


def test_naive_bayes_starts_as_naive_bayes_itself():
    model = Model(VOCABULARY, CLASSES, naive_bayes=True, scale=0.5, pooling="sum")
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    ratios = np.random.default_rng(2).normal(size=(VOCABULARY, CLASSES)).astype(np.float32)
    logits = model.apply({**variables, "naive_bayes": {"ratios": ratios}}, TOKENS, MASK)
    expected = [0.5 * ratios[row[:n]].sum(0) for row, n in zip(TOKENS, LENGTHS, strict=True)]
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_dropout_leaves_out_whole_features_and_keeps_the_mean():
    model, variables = build("linear", pooling="sum", dropout=0.5)
    one = variables["params"]["embedding"][5]
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
    model = Model(VOCABULARY, CLASSES, dtype=jnp.bfloat16, **VARIANTS[variant])
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(variables))
    logits = model.apply(variables, TOKENS, MASK)
    assert logits.shape == (4, CLASSES) and logits.dtype == jnp.float32
