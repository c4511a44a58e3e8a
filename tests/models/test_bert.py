"""The encoder: what must not matter to it, and what must."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.layers import stack_layers
from bigmodel_jax.models.bert import VARIANTS, Model
from tests.models.text_models import (
    assert_dropout_acts_in_training_only,
    assert_padding_does_not_matter,
    assert_presence_is_a_factor,
)

VOCABULARY, LENGTH = 20, 6
LENGTHS = np.array([6, 2, 4])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
TOKENS = np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape)
TOKENS = np.where(MASK, TOKENS, 0).astype(np.int32)
STYLES = {
    "bert": {},
    "pre-norm": {"norm_first": True},
    "rotary": {"norm_first": True, "positions": "rope", "mlp": "geglu", "num_types": 0},
}


def build(**fields):
    """A model and its variables, all of them random and large enough for every token to matter."""
    model = Model(VOCABULARY, 3, **{**VARIANTS["tiny"], **fields})
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    rng = np.random.default_rng(1)
    return model, jax.tree.map(
        lambda p: p + rng.normal(size=p.shape).astype(np.float32) * 0.2, variables
    )


@pytest.mark.parametrize("style", STYLES)
def test_documents_packed_into_a_row_are_as_if_each_had_its_own(style):
    model, variables = build(**STYLES[style])
    rows = model.apply(variables, TOKENS, MASK)
    packed = np.concatenate([TOKENS[i, :n] for i, n in enumerate(LENGTHS)])[None]
    segments = np.repeat(np.arange(1, 4), LENGTHS)[None].astype(np.int32)
    positions = np.concatenate([np.arange(n) for n in LENGTHS])[None].astype(np.int32)
    got = model.apply(variables, packed, segments, positions=positions)
    np.testing.assert_allclose(got[0], rows[MASK], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("style", STYLES)
def test_both_sides_and_the_order_of_a_context_matter(style):
    model, variables = build(**STYLES[style])
    want = model.apply(variables, TOKENS)
    later = TOKENS.copy()
    later[:, 5] = 7
    for change in (later, TOKENS[:, [1, 0, 2, 3, 4, 5]]):
        got = model.apply(variables, change)
        assert not np.allclose(got[:, 3], want[:, 3], atol=1e-3)


@pytest.mark.parametrize("style", STYLES)
def test_scanned_layers_compute_what_unrolled_ones_do(style):
    model, variables = build(**STYLES[style])
    scanned, other = build(**STYLES[style], scan=True)
    stacked = {"params": stack_layers(variables["params"])}
    assert trees.flatten(stacked).keys() == trees.flatten(other).keys()
    got = scanned.apply(stacked, TOKENS, MASK)
    np.testing.assert_allclose(got, model.apply(variables, TOKENS, MASK), rtol=1e-4, atol=1e-5)


def test_logits_of_hidden_states_are_the_logits():
    model, variables = build()
    hidden = model.apply(variables, TOKENS, MASK, method="hidden")
    got = model.apply(variables, hidden[MASK], method="logits")
    want = model.apply(variables, TOKENS, MASK)[MASK]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_the_network_has_the_same_paths_under_every_head():
    paths = {
        head: set(trees.flatten(build(head=head)[1]["params"]))
        for head in ("lm", "classify", "tag")
    }
    network = {path for path in paths["lm"] if not path.startswith("mlm/")}
    assert paths["tag"] == network | {"classifier/kernel", "classifier/bias"}
    assert paths["classify"] == paths["tag"] | {"pooler/kernel", "pooler/bias"}


@pytest.mark.parametrize("pooling", ["first", "mean", "max", "attention"])
def test_a_class_does_not_depend_on_padding(pooling):
    model, variables = build(head="classify", pooling=pooling)
    assert_padding_does_not_matter(model, variables, TOKENS, MASK, atol=1e-5)


def test_presence_is_a_factor_of_each_embedding():
    model, variables = build(head="classify")
    assert_presence_is_a_factor(model, variables, TOKENS, MASK, 0.5, 1e-5, 1e-5)


@pytest.mark.parametrize("kind", ["dropout", "embed_dropout", "word_dropout"])
def test_dropout_acts_in_training_only(kind):
    model, variables = build(**{kind: 0.5})
    assert_dropout_acts_in_training_only(model, build()[0], variables, TOKENS, MASK)


def test_bfloat16_computes_close_to_float32_over_float32_parameters():
    model, variables = build(head="tag")
    half, _ = build(head="tag", dtype=jnp.bfloat16)
    logits, want = half.apply(variables, TOKENS, MASK), model.apply(variables, TOKENS, MASK)
    assert logits.dtype == jnp.float32
    assert np.linalg.norm(logits - want) < 0.03 * np.linalg.norm(want)


# With the masked-word head, without the pooler.
PUBLISHED = {
    "bert-base": 109_514_298,
    "bert-large": 335_174_458,
    "roberta-base": 124_697_433,
    "roberta-large": 355_412_057,
    "distilbert": 66_985_530,
}


@pytest.mark.parametrize("variant", PUBLISHED)
def test_a_variant_has_as_many_parameters_as_the_published_model(variant):
    model = Model(**VARIANTS[variant], scan=True)
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == PUBLISHED[variant]


@pytest.mark.parametrize("head", ["lm", "classify", "tag"])
def test_every_axis_of_every_parameter_is_known_to_the_rules(head):
    model = Model(VOCABULARY, 3, **VARIANTS["tiny"], head=head, scan=True)
    boxed = jax.eval_shape(model.init, jax.random.key(0), TOKENS)["params"]
    named = trees.flatten(boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned))
    for path, leaf in named.items():
        assert len(leaf.names) == leaf.value.ndim, path
        assert set(leaf.names) <= {*sharding.RULES, None}, path


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"head": "mlm"}, "model.head is 'mlm'. Did you mean 'lm'"),
        ({"pooling": "last"}, "model.pooling is 'last'"),
        ({"max_length": 5}, "text of 6 tokens is longer than model.max_length=5"),
    ],
)
def test_what_does_not_fit_is_told(fields, complaint):
    with pytest.raises(UserError, match=complaint):
        build(**fields)
