"""The transformer classifier: what must not matter to it, and what must."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.models.transformer import VARIANTS, Model
from tests.models.text_models import (
    assert_dropout_acts_in_training_only,
    assert_padding_does_not_matter,
    assert_presence_is_a_factor,
)

BATCH, LENGTH, VOCABULARY = 4, 6, 20
LENGTHS = np.array([6, 2, 4, 1])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
TOKENS = np.where(MASK, np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape), 0)
POOLINGS = ["mean", "max", "attention"]


def build(**fields):
    model = Model(VOCABULARY, num_classes=3, **{**VARIANTS["tiny"], **fields})
    return model, nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_neither_the_ids_nor_the_amount_of_padding_matter(pooling):
    model, variables = build(pooling=pooling, num_layers=2)
    assert_padding_does_not_matter(model, variables, TOKENS, MASK, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_padding_vector_that_is_not_a_number_reaches_neither_logits_nor_gradients(pooling):
    model, variables = build(pooling=pooling)

    def loss(params):
        logits = model.apply({"params": params}, TOKENS, MASK)
        return (logits * np.arange(1.0, 4.0, dtype=np.float32)).sum()

    table = variables["params"]["embed"]["embedding"]
    poisoned = {**variables["params"], "embed": {"embedding": table.at[0].set(jnp.nan)}}
    results = [jax.value_and_grad(loss)(p) for p in (variables["params"], poisoned)]
    jax.tree.map(np.testing.assert_array_equal, *results)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_presence_is_a_factor_of_each_embedding(pooling):
    model, variables = build(pooling=pooling)
    assert_presence_is_a_factor(model, variables, TOKENS, MASK, 0.0, 1e-6, 1e-6)


def test_a_text_without_tokens_gets_the_bias():
    model, variables = build()
    variables["params"]["head"]["bias"] += jnp.arange(3.0)
    logits = model.apply(variables, TOKENS, np.zeros_like(MASK))
    np.testing.assert_allclose(logits, np.tile(np.arange(3), (BATCH, 1)), atol=1e-6)


def test_order_matters():
    model, variables = build()
    full = np.ones_like(MASK)
    forth, back = (model.apply(variables, t, full) for t in (TOKENS, TOKENS[:, ::-1]))
    assert not np.allclose(forth, back, atol=1e-4)


@pytest.mark.parametrize("kind", ["dropout", "embed_dropout", "word_dropout"])
def test_dropout_acts_in_training_only(kind):
    model, variables = build(**{kind: 0.5})
    assert_dropout_acts_in_training_only(model, build()[0], variables, TOKENS, MASK)


def test_bfloat16_computes_close_to_float32_over_float32_parameters():
    model, variables = build(pooling="attention")
    half, half_variables = build(pooling="attention", dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(half_variables)} == {jnp.dtype("float32")}
    logits = half.apply(variables, TOKENS, MASK)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, model.apply(variables, TOKENS, MASK), atol=0.05)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_the_parameters_of_its_sizes(variant):
    model = Model(VOCABULARY, num_classes=3, **VARIANTS[variant])
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS, MASK))
    width, mlp = model.width, model.mlp_ratio * model.width
    block = 4 * (width + 1) * width + (width + 1) * mlp + (mlp + 1) * width + 4 * width
    want = VOCABULARY * width + model.num_layers * block + 2 * width + (width + 1) * 3
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == want
