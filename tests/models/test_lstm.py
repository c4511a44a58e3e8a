"""The LSTM classifier against the same network in torch, and what must not matter to it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.models.lstm import VARIANTS, Model

BATCH, LENGTH, VOCABULARY = 4, 6, 20
LENGTHS = np.array([6, 2, 4, 1])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
TOKENS = np.where(MASK, np.random.default_rng(0).integers(1, VOCABULARY, MASK.shape), 0)
LABELS = np.array([0, 2, 1, 0])


def build(**fields):
    model = Model(VOCABULARY, num_classes=3, **{**VARIANTS["tiny"], **fields})
    return model, nn.unbox(model.init(jax.random.key(0), TOKENS, MASK))


def cross_entropy(model, variables):
    logits = jax.nn.log_softmax(model.apply(variables, TOKENS, MASK))
    return -jnp.take_along_axis(logits, LABELS[:, None], axis=1).mean()


def test_logits_and_every_gradient_equal_those_of_the_network_in_torch():
    torch = pytest.importorskip("torch")
    model, variables = build()
    gradients = jax.grad(lambda v: cross_entropy(model, v))(variables)["params"]
    params = variables["params"]

    sizes = VARIANTS["tiny"]
    peer = {
        "embed": torch.nn.Embedding(VOCABULARY, sizes["width"]),
        "lstm": torch.nn.LSTM(sizes["width"], sizes["hidden"], batch_first=True),
        "head": torch.nn.Linear(sizes["hidden"], 3),
    }
    pairs = [
        (("embed", "embedding"), peer["embed"].weight),
        (("lstm", "input_kernel"), peer["lstm"].weight_ih_l0),
        (("lstm", "recurrent_kernel"), peer["lstm"].weight_hh_l0),
        (("lstm", "bias"), peer["lstm"].bias_ih_l0),
        (("head", "kernel"), peer["head"].weight),
        (("head", "bias"), peer["head"].bias),
    ]

    def transposed(path, value):  # torch keeps every matrix but the embedding as [out, in]
        return np.array(value if path[0] == "embed" else value.T)

    with torch.no_grad():
        for path, parameter in pairs:
            parameter.copy_(torch.tensor(transposed(path, params[path[0]][path[1]])))
        peer["lstm"].bias_hh_l0.zero_()
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        peer["embed"](torch.tensor(TOKENS)), LENGTHS, batch_first=True, enforce_sorted=False
    )
    logits = peer["head"](peer["lstm"](packed)[1][0][0])
    torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS)).backward()

    got = model.apply(variables, TOKENS, MASK)
    np.testing.assert_allclose(got, logits.detach().numpy(), rtol=1e-4, atol=1e-6)
    for path, parameter in pairs:
        ours = transposed(path, gradients[path[0]][path[1]])
        np.testing.assert_allclose(ours, parameter.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_neither_the_ids_nor_the_amount_of_padding_matter():
    model, variables = build()
    want = model.apply(variables, TOKENS, MASK)
    got = model.apply(variables, np.where(MASK, TOKENS, 7), MASK)
    np.testing.assert_array_equal(got, want)
    wide = np.pad(TOKENS, ((0, 0), (0, 5))), np.pad(MASK, ((0, 0), (0, 5)))
    np.testing.assert_allclose(model.apply(variables, *wide), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["dropout", "embed_dropout", "word_dropout"])
def test_dropout_acts_in_training_only(kind):
    model, variables = build(**{kind: 0.5})
    plain, _ = build()
    want = plain.apply(variables, TOKENS, MASK)
    np.testing.assert_array_equal(model.apply(variables, TOKENS, MASK), want)
    noisy = [
        model.apply(variables, TOKENS, MASK, train=True, rngs={"dropout": jax.random.key(seed)})
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2]) and not np.allclose(noisy[0], want)


def test_bfloat16_computes_close_to_float32_over_float32_parameters():
    model, variables = build()
    half, half_variables = build(dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(half_variables)} == {jnp.dtype("float32")}
    logits = half.apply(variables, TOKENS, MASK)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, model.apply(variables, TOKENS, MASK), atol=0.02)


def test_the_article_has_the_parameters_we_say():
    model = Model(10_000, num_classes=2, **VARIANTS["article"])
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS, MASK))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == 10_000 * 256 + (256 + 128 + 1) * 512 + 128 * 2 + 2
