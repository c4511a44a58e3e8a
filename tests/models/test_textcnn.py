"""The convolutional classifier against the same network in torch, and what must not matter to it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import optim, sharding, trees
from bigmodel_jax.models.textcnn import VARIANTS, Model
from tests.models.text_models import (
    assert_dropout_acts_in_training_only,
    assert_padding_does_not_matter,
    assert_presence_is_a_factor,
)

BATCH, LENGTH, VOCABULARY, CLASSES = 8, 7, 20, 3
LENGTHS = np.array([7, 2, 4, 1, 5, 3, 6, 7])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
TOKENS = np.where(MASK, np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape), 0)
LABELS = np.arange(BATCH) % CLASSES
SIZES = (2, 3, 5)  # of which some are longer than a text
POOLINGS = ["max", "mean", "attention"]


def build(**fields):
    """A model with random parameters everywhere, so that nothing is zero by chance."""
    model = Model(VOCABULARY, CLASSES, **{**VARIANTS["tiny"], "sizes": SIZES, **fields})
    variables = nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))
    rng = np.random.default_rng(1)
    return model, jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), variables)


def cross_entropy(model, params, tokens, mask, labels, **options):
    logits = model.apply({"params": params}, tokens, mask, **options)
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, labels[:, None], axis=1).sum(), logits


@pytest.mark.parametrize("pooling", POOLINGS)
def test_logits_and_every_gradient_equal_those_of_the_network_in_torch(pooling):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    model, variables = build(pooling=pooling)
    params = variables["params"]
    of = jax.value_and_grad(lambda p: cross_entropy(model, p, TOKENS, MASK, LABELS), has_aux=True)
    (_, got), gradients = of(params)
    theirs = {
        path: torch.tensor(np.array(x), requires_grad=True)
        for path, x in trees.flatten(params).items()
    }

    def pooled(y, size):
        """[features] of [length, features]."""
        if pooling == "max":
            return y.max(0).values
        if pooling == "mean":
            return y.mean(0)
        part = {k.removeprefix(f"pool_{size}/"): v for k, v in theirs.items()}
        hidden = torch.tanh(y @ part["hidden/kernel"] + part["hidden/bias"])
        return (torch.softmax(hidden @ part["score/kernel"], 0) * y).sum(0)

    logits = []
    for row, length in zip(TOKENS, LENGTHS, strict=True):  # each alone, without padding
        x = functional.embedding(torch.tensor(row[:length]), theirs["embed/embedding"])
        parts = []
        for size in SIZES:
            # torch keeps filters as [out, in, size]; an even one has its extra zero at the end.
            filters = theirs[f"kernel_{size}"].reshape(size, -1, model.features).permute(2, 1, 0)
            padded = functional.pad(x.T, ((size - 1) // 2, size // 2))
            y = functional.conv1d(padded, filters, theirs[f"bias_{size}"]).T
            parts.append(pooled(torch.relu(y), size))
        logits.append(torch.cat(parts) @ theirs["head/kernel"] + theirs["head/bias"])
    logits = torch.stack(logits)
    functional.cross_entropy(logits, torch.tensor(LABELS), reduction="sum").backward()

    np.testing.assert_allclose(got, logits.detach().numpy(), rtol=1e-4, atol=1e-5)
    for path, gradient in trees.flatten(gradients).items():
        want = theirs[path].grad.numpy()
        np.testing.assert_allclose(gradient, want, rtol=1e-4, atol=1e-4, err_msg=path)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_neither_the_ids_nor_the_amount_of_padding_matter(pooling):
    model, variables = build(pooling=pooling)
    assert_padding_does_not_matter(model, variables, TOKENS, MASK, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_padding_vector_that_is_not_a_number_reaches_neither_logits_nor_gradients(pooling):
    model, variables = build(pooling=pooling)
    table = variables["params"]["embed"]["embedding"].copy()
    table[0] = np.nan
    poisoned = {**variables["params"], "embed": {"embedding": table}}
    of = jax.value_and_grad(lambda p: cross_entropy(model, p, TOKENS, MASK, LABELS), has_aux=True)
    jax.tree.map(np.testing.assert_array_equal, of(poisoned), of(variables["params"]))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_without_tokens_gets_finite_logits_and_gives_the_words_no_gradient(pooling):
    model, variables = build(pooling=pooling)

    def of(params):
        return cross_entropy(model, params, TOKENS, np.zeros_like(MASK), LABELS)

    (_, logits), gradients = jax.value_and_grad(of, has_aux=True)(variables["params"])
    np.testing.assert_array_equal(logits, np.tile(logits[0], (BATCH, 1)))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((logits, gradients)))
    assert not gradients["embed"]["embedding"].any()
    assert not any(gradients[f"kernel_{size}"].any() for size in SIZES)
    bias = variables["params"]["head"]["bias"]
    np.testing.assert_allclose(logits[0], bias, rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_presence_is_a_factor_of_each_embedding(pooling):
    model, variables = build(pooling=pooling)
    assert_presence_is_a_factor(model, variables, TOKENS, MASK, 0.3, 1e-5, 1e-5)


def test_order_matters():
    model, variables = build()
    full = np.ones_like(MASK)
    forth, back = (model.apply(variables, t, full) for t in (TOKENS, TOKENS[:, ::-1]))
    assert not np.allclose(forth, back, atol=1e-3)


@pytest.mark.parametrize("kind", ["dropout", "embed_dropout", "word_dropout"])
def test_dropout_acts_in_training_only(kind):
    off = {"dropout": 0.0}
    model, variables = build(**{**off, kind: 0.5})
    assert_dropout_acts_in_training_only(model, build(**off)[0], variables, TOKENS, MASK)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_bfloat16_computes_close_to_float32_over_float32_parameters(pooling):
    model, variables = build(pooling=pooling)
    half, half_variables = build(pooling=pooling, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(half_variables)} == {jnp.dtype("float32")}
    logits, want = half.apply(variables, TOKENS, MASK), model.apply(variables, TOKENS, MASK)
    assert logits.dtype == jnp.float32
    assert np.linalg.norm(logits - want) < 0.02 * np.linalg.norm(want)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_batch_split_over_devices_gives_the_same_and_moves_no_activations(pooling):
    model, variables = build(pooling=pooling)
    step = jax.jit(
        jax.value_and_grad(lambda *a: cross_entropy(model, *a, train=False), has_aux=True)
    )
    want = step(variables["params"], TOKENS, MASK, LABELS)
    mesh = sharding.make_mesh({"data": -1})
    with sharding.use(mesh):
        batch = sharding.put((TOKENS, MASK, LABELS), mesh)
        program = step.lower(variables["params"], *batch).compile()
        got = program(variables["params"], *batch)
    assert "all-gather(" not in program.as_text()
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_weight_decay_acts_on_the_kernels_of_all_sizes():
    params = trees.flatten(build(pooling="attention")[1]["params"])
    decayed = trees.matcher(optim.DECAYED)
    assert {p for p in params if not decayed(p)} == {p for p in params if "bias" in p}


def test_kim_has_the_parameters_of_the_paper():
    model = Model(10_000, CLASSES, **VARIANTS["kim"])
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS, MASK))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == 10_000 * 300 + (3 + 4 + 5) * 300 * 100 + 300 + 300 * CLASSES + CLASSES
