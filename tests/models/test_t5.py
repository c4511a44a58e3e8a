"""Encoder-decoders: what must not matter to them, what must, and writing over a cache."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.layers import stack_layers
from bigmodel_jax.models.t5 import VARIANTS, Model

VOCABULARY, READ, WRITTEN = 20, 7, 6
RNG = np.random.default_rng(0)
REAL = np.arange(READ) < np.array([[7], [3], [5]])
MASK = np.arange(WRITTEN) < np.array([[6], [6], [2]])
SOURCE = np.where(REAL, RNG.integers(2, VOCABULARY, REAL.shape), 0).astype(np.int32)
TOKENS = np.where(MASK, RNG.integers(2, VOCABULARY, MASK.shape), 0).astype(np.int32)
T5 = {"mlp": "relu", "tied": True, "logit_scale": 0.25, "head_dim": 6}
SIZES = ("vocabulary_size", "width", "num_layers", "num_heads")
OF_2017 = {k: v for k, v in VARIANTS["transformer-base"].items() if k not in SIZES}
STYLES = {"t5": T5, "t5 1.1": {}, "2017": OF_2017, "pre-norm": {**OF_2017, "norm_first": True}}
CASES = ["t5", "2017", *(pytest.param(s, marks=pytest.mark.slow) for s in ("t5 1.1", "pre-norm"))]


def build(**fields):
    """A model and its variables, all of them random and large enough for every token to matter."""
    model = Model(VOCABULARY, **{**VARIANTS["tiny"], **fields})
    variables = nn.unbox(model.init(jax.random.key(0), SOURCE, TOKENS, REAL, MASK))
    rng = np.random.default_rng(1)

    def noisy(p):
        return p + rng.normal(size=p.shape).astype(np.float32) * 0.2

    return model, jax.tree.map(noisy, variables)


@pytest.mark.parametrize("style", CASES)
def test_what_is_yet_to_be_written_changes_nothing_and_every_word_of_the_source_does(style):
    model, variables = build(**STYLES[style])
    want = model.apply(variables, SOURCE, TOKENS)
    other = TOKENS.copy()
    other[:, 4:] = 7
    got = model.apply(variables, SOURCE, other)
    np.testing.assert_array_equal(got[:, :4], want[:, :4])
    assert not np.allclose(got[:, 5:], want[:, 5:], atol=1e-3)
    for place in (0, READ - 1):
        read = SOURCE.copy()
        read[:, place] = 1
        assert not np.allclose(model.apply(variables, read, TOKENS)[:, 0], want[:, 0], atol=1e-4)


@pytest.mark.parametrize("style", CASES)
def test_padding_of_either_text_does_not_matter(style):
    model, variables = build(**STYLES[style])
    want = model.apply(variables, SOURCE, TOKENS, REAL, MASK)
    source, tokens = np.where(REAL, SOURCE, 9), np.where(MASK, TOKENS, 9)
    wider = [np.pad(x, ((0, 0), (0, 3))) for x in (source, tokens, REAL, MASK)]
    got = model.apply(variables, *wider)[:, :WRITTEN]
    np.testing.assert_allclose(got[MASK], want[MASK], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("style", CASES)
def test_pairs_packed_into_a_row_are_as_if_each_had_its_own(style):
    model, variables = build(**STYLES[style])
    want = model.apply(variables, SOURCE, TOKENS, REAL, MASK)
    parts = {}
    for name, ids, mask in (("source", SOURCE, REAL), ("tokens", TOKENS, MASK)):
        order = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
        segments = np.broadcast_to(np.arange(1, 4)[:, None], mask.shape)
        rows = [np.pad(x[mask], (0, 3))[None].astype(np.int32) for x in (ids, segments, order)]
        parts[name] = rows
    (source, read, source_positions), (tokens, segments, positions) = parts.values()
    places = {"source_positions": source_positions, "positions": positions}
    got = model.apply(variables, source, tokens, read, segments, **places)
    np.testing.assert_allclose(got[0, : MASK.sum()], want[MASK], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scan", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("style", CASES)
def test_writing_over_a_cache_gives_the_logits_of_the_whole_text(style, scan):
    model, variables = build(**STYLES[style], scan=scan)
    want = model.apply(variables, SOURCE, TOKENS, REAL)
    decode = jax.jit(lambda *inputs: model.apply(variables, *inputs, method="decode"))
    memory = (model.apply(variables, SOURCE, REAL, method="encode"), REAL)
    cache = model.init_cache(3, WRITTEN, READ)
    for step in range(WRITTEN):
        place = np.full((3, 1), step)
        logits, cache = decode(TOKENS[:, step][:, None], place, cache, *memory)
        np.testing.assert_allclose(logits[:, 0], want[:, step], rtol=1e-4, atol=1e-5)
        memory = ()


@pytest.mark.parametrize("style", CASES)
@pytest.mark.slow
def test_scanned_layers_compute_what_unrolled_ones_do(style):
    model, variables = build(**STYLES[style])
    scanned, other = build(**STYLES[style], scan=True, remat="full")
    stacked = {"params": stack_layers(variables["params"])}
    assert trees.flatten(stacked).keys() == trees.flatten(other).keys()

    def loss(model):
        return lambda v: jnp.sin(model.apply(v, SOURCE, TOKENS, REAL, MASK)).sum()

    want, wanted = jax.value_and_grad(loss(model))(variables)
    got, gradients = jax.value_and_grad(loss(scanned))(stacked)
    assert float(got) == pytest.approx(float(want), rel=1e-4)
    gradients, wanted = gradients["params"], stack_layers(wanted["params"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), gradients, wanted
    )


@pytest.mark.parametrize("style", CASES)
def test_logits_of_hidden_states_are_the_logits(style):
    model, variables = build(**STYLES[style])
    hidden = model.apply(variables, SOURCE, TOKENS, REAL, MASK, method="hidden")
    assert hidden.shape == (*TOKENS.shape, model.width)
    got = model.apply(variables, hidden[MASK], method="logits")
    want = model.apply(variables, SOURCE, TOKENS, REAL, MASK)[MASK]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only():
    model, variables = build(dropout=0.5)
    want = build()[0].apply(variables, SOURCE, TOKENS)
    np.testing.assert_array_equal(model.apply(variables, SOURCE, TOKENS), want)
    rngs = {"dropout": jax.random.key(1)}
    noisy = model.apply(variables, SOURCE, TOKENS, train=True, rngs=rngs)
    assert not np.allclose(noisy, want, atol=1e-2)


def test_logits_are_float32_and_those_of_bfloat16_are_near():
    model, variables = build(dtype=jnp.bfloat16)
    got = model.apply(variables, SOURCE, TOKENS, REAL, MASK)
    want = build()[0].apply(variables, SOURCE, TOKENS, REAL, MASK)
    assert got.dtype == jnp.float32
    assert np.linalg.norm(got - want) < 0.05 * np.linalg.norm(want)


PUBLISHED = {
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "flan-t5-small": 76_961_152,
    "flan-t5-base": 247_577_856,
    "flan-t5-large": 783_150_080,
}


@pytest.mark.parametrize("variant", PUBLISHED)
def test_a_variant_has_as_many_parameters_as_the_published_model(variant):
    model = Model(**VARIANTS[variant], scan=True)  # layer by layer it takes seconds to trace
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), SOURCE, TOKENS))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == PUBLISHED[variant]


@pytest.mark.parametrize("style", CASES)
def test_logits_start_with_a_variance_of_about_one(style):
    fields = {"width": 64, "num_layers": 2, "num_heads": 4, "mlp_dim": 128}
    fields |= {k: v for k, v in STYLES[style].items() if k != "head_dim"}
    fields |= {"logit_scale": 64**-0.5} if style == "t5" else {}
    model = Model(200, **fields)
    variables = model.init(jax.random.key(0), SOURCE, TOKENS)
    logits = model.apply(variables, SOURCE, TOKENS)
    assert 0.5 < float(jnp.std(logits)) < 1.5


@pytest.mark.parametrize("style", CASES)
def test_every_axis_of_every_parameter_is_named_and_known_to_the_rules(style):
    model = Model(VOCABULARY, **{**VARIANTS["tiny"], **STYLES[style]}, scan=True)
    boxed = jax.eval_shape(model.init, jax.random.key(0), SOURCE, TOKENS)["params"]
    named = trees.flatten(boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned))
    for path, leaf in named.items():
        assert len(leaf.names) == leaf.value.ndim, path
        assert set(leaf.names) - {None} <= set(sharding.RULES), path


@pytest.mark.parametrize("style", CASES)
def test_a_mesh_changes_only_rounding(style):
    model, variables = build(**STYLES[style])
    inputs = [x[:2] for x in (SOURCE, TOKENS, REAL, MASK)]
    want = model.apply(variables, *inputs)
    with sharding.use(sharding.make_mesh({"data": 2, "fsdp": 2, "tensor": 2})):
        got = jax.jit(model.apply)(variables, *inputs)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"mlp": "rely"}, "model.mlp is 'rely'. Did you mean 'relu'"),
        ({"positions": "sinusoid"}, "Did you mean 'sinusoids'"),
        ({"norm": "rsm"}, "Did you mean 'rms'"),
        ({"num_heads": 3}, "width of 16 does not divide into 3 heads"),
    ],
)
def test_what_does_not_fit_is_told(fields, complaint):
    with pytest.raises(UserError, match=complaint):
        build(**fields)
