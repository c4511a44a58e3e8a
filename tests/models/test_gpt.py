"""The decoder: what must not matter to it, what must, and its two ways of reading a text."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.layers import stack_layers
from bigmodel_jax.models.gpt import VARIANTS, Model
from tests.models.text_models import (
    assert_dropout_acts_in_training_only,
    assert_padding_does_not_matter,
    assert_presence_is_a_factor,
)

VOCABULARY, LENGTH = 20, 8
LENGTHS = np.array([8, 3, 5])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
TOKENS = np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape).astype(np.int32)
TOKENS = np.where(MASK, TOKENS, 0).astype(np.int32)
LLAMA = {
    "positions": "rope",
    "norm": "rms",
    "mlp": "swiglu",
    "bias": False,
    "tied": False,
    "num_groups": 1,
    "qk_norm": True,
}
GEMMA = {
    **LLAMA,
    "out_norms": True,
    "window": (3, None),
    "softcap": 2.0,
    "logit_softcap": 3.0,
    "embed_scale": True,
    "tied": True,
}
STYLES = {"gpt2": {}, "llama": LLAMA, "gemma": GEMMA}


def build(**fields):
    """A model and its variables, all of them random and large enough for every token to matter."""
    model = Model(VOCABULARY, 3, **{**VARIANTS["tiny"], **fields})
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    rng = np.random.default_rng(1)
    return model, jax.tree.map(
        lambda p: p + rng.normal(size=p.shape).astype(np.float32) * 0.2, variables
    )


@pytest.mark.parametrize("style", STYLES)
def test_the_future_changes_nothing(style):
    model, variables = build(**STYLES[style])
    want = model.apply(variables, TOKENS)
    other = TOKENS.copy()
    other[:, 5:] = 7
    got = model.apply(variables, other)
    np.testing.assert_array_equal(got[:, :5], want[:, :5])
    assert not np.allclose(got[:, 6:], want[:, 6:], atol=1e-3)


@pytest.mark.parametrize("style", STYLES)
def test_documents_packed_into_a_row_are_as_if_each_had_its_own(style):
    model, variables = build(**STYLES[style])
    rows = model.apply(variables, TOKENS, MASK)
    packed = np.zeros((1, 20), np.int32)
    segments, positions = np.zeros_like(packed), np.zeros_like(packed)
    start = 0
    for i, length in enumerate(LENGTHS):
        part = slice(start, start + length)
        packed[0, part], segments[0, part] = TOKENS[i, :length], i + 1
        positions[0, part] = np.arange(length)
        start += length
    got = model.apply(variables, packed, segments, positions=positions)
    np.testing.assert_allclose(got[0, :start], rows[MASK], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_decoding_with_a_cache_gives_the_logits_of_the_whole_text(style, scan):
    model, variables = build(**STYLES[style], scan=scan)
    want = model.apply(variables, TOKENS, MASK)
    decode = jax.jit(lambda *inputs: model.apply(variables, *inputs, method="decode"))
    prompts = np.array([4, 2, 3])  # of different lengths, padded on the right to 4
    positions = np.broadcast_to(np.arange(4), (3, 4))
    logits, cache = decode(TOKENS[:, :4], positions, model.init_cache(3, LENGTH))
    for row, prompt in enumerate(prompts):
        np.testing.assert_allclose(logits[row, :prompt], want[row, :prompt], rtol=1e-4, atol=1e-5)
    rows = np.arange(3)
    for step in range(4):
        at = np.minimum(prompts + step, LENGTHS - 1)  # a row that has ended repeats its last token
        logits, cache = decode(TOKENS[rows, at][:, None], at[:, None], cache)
        np.testing.assert_allclose(logits[:, 0], want[rows, at], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("style", STYLES)
def test_scanned_layers_compute_what_unrolled_ones_do(style):
    model, variables = build(**STYLES[style])
    scanned, other = build(**STYLES[style], scan=True)
    stacked = {"params": stack_layers(variables["params"])}
    assert trees.flatten(stacked).keys() == trees.flatten(other).keys()
    got = scanned.apply(stacked, TOKENS, MASK)
    np.testing.assert_allclose(got, model.apply(variables, TOKENS, MASK), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("style", STYLES)
def test_logits_of_hidden_states_are_the_logits(style):
    model, variables = build(**STYLES[style])
    hidden = model.apply(variables, TOKENS, MASK, method="hidden")
    assert hidden.shape == (*TOKENS.shape, model.width)
    got = model.apply(variables, hidden[MASK], method="logits")
    want = model.apply(variables, TOKENS, MASK)[MASK]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_the_network_has_the_same_paths_under_every_head():
    paths = {
        head: set(trees.flatten(build(head=head)[1]["params"]))
        for head in ("lm", "classify", "tag")
    }
    own = {"classifier/kernel", "classifier/bias"}
    assert paths["classify"] == paths["tag"] == paths["lm"] | own


def test_heads_give_logits_of_their_shapes_in_float32():
    shapes = {"lm": (3, LENGTH, VOCABULARY), "classify": (3, 3), "tag": (3, LENGTH, 3)}
    for head, shape in shapes.items():
        model, variables = build(head=head, dtype=jnp.bfloat16)
        got = model.apply(variables, TOKENS, MASK)
        assert (got.shape, got.dtype) == (shape, jnp.float32)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_a_class_does_not_depend_on_padding(pooling):
    model, variables = build(head="classify", pooling=pooling)
    assert_padding_does_not_matter(model, variables, TOKENS, MASK, atol=1e-5)


@pytest.mark.parametrize("style", STYLES)
def test_padding_on_the_left_does_not_reach_the_tokens(style):
    model, variables = build(**STYLES[style])
    want = model.apply(variables, TOKENS, MASK)
    tokens, mask = np.pad(TOKENS, ((0, 0), (2, 0))), np.pad(MASK, ((0, 0), (2, 0)))
    positions = np.maximum(np.arange(LENGTH + 2) - 2, 0)[None]
    got = model.apply(variables, tokens, mask, positions=positions)
    np.testing.assert_allclose(got[:, 2:][MASK], want[MASK], rtol=1e-4, atol=1e-5)


def test_presence_is_a_factor_of_each_embedding():
    model, variables = build(head="classify")
    assert_presence_is_a_factor(model, variables, TOKENS, MASK, 0.5, 1e-5, 1e-5)


@pytest.mark.parametrize("kind", ["dropout", "embed_dropout", "word_dropout"])
def test_dropout_acts_in_training_only(kind):
    model, variables = build(**{kind: 0.5})
    assert_dropout_acts_in_training_only(model, build()[0], variables, TOKENS, MASK)


def test_initial_weights_are_gpt2s():
    model = Model(VOCABULARY, width=64, num_layers=8, num_heads=2)
    params = trees.flatten(nn.unbox(model.init(jax.random.key(0), TOKENS))["params"])
    for path, p in params.items():
        if path.endswith(("out/kernel", "down/kernel")):
            assert np.std(p) == pytest.approx(0.02 / 4, rel=0.1), path
        elif path.endswith(("kernel", "positions/embedding")):
            assert np.std(p) == pytest.approx(0.02, rel=0.1), path
        elif path.endswith("bias"):
            assert not np.any(p), path


PUBLISHED = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "llama-1b": 1_235_814_400,
    "llama-8b": 8_030_261_248,
    "qwen3-0.6b": 596_049_920,
    "gemma-2-2b": 2_614_341_888,
}


@pytest.mark.parametrize("variant", PUBLISHED)
def test_a_variant_has_as_many_parameters_as_the_published_model(variant):
    model = Model(**VARIANTS[variant], scan=True)  # layer by layer it takes seconds to trace
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == PUBLISHED[variant]


@pytest.mark.parametrize("style", STYLES)
def test_every_axis_of_every_parameter_is_named_and_known_to_the_rules(style):
    model = Model(VOCABULARY, **{**VARIANTS["tiny"], **STYLES[style]}, scan=True)
    boxed = jax.eval_shape(model.init, jax.random.key(0), TOKENS)["params"]
    named = trees.flatten(boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned))
    for path, leaf in named.items():
        assert len(leaf.names) == leaf.value.ndim, path
        assert set(leaf.names) <= set(sharding.RULES), path


def test_a_mesh_changes_only_rounding():
    model, variables = build(**LLAMA)
    want = model.apply(variables, TOKENS[:2], MASK[:2])
    with sharding.use(sharding.make_mesh({"data": 2, "fsdp": 2, "tensor": 2}), {"groups": None}):
        got = jax.jit(model.apply)(variables, TOKENS[:2], MASK[:2])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"head": "lmm"}, "model.head is 'lmm'. Did you mean 'lm'"),
        ({"mlp": "swish"}, "model.mlp is 'swish'"),
        ({"positions": "ropes"}, "Did you mean 'rope'"),
        ({"max_length": 5}, "text of 8 tokens is longer than model.max_length=5"),
        ({"num_heads": 3}, "width of 16 does not divide into 3 heads"),
    ],
)
def test_what_does_not_fit_is_told(fields, complaint):
    with pytest.raises(UserError, match=complaint):
        build(**fields)
