"""The LSTM classifier against the same network in torch, and what must not matter to it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import trees
from bigmodel_jax.models.lstm import VARIANTS, Model
from tests.models.text_models import (
    assert_dropout_acts_in_training_only,
    assert_padding_does_not_matter,
    assert_presence_is_a_factor,
)

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


DEEP = {"layers": 2, "bidirectional": True}
FORMS = {"one layer": {}, "deep": DEEP, **{k: {"pooling": k} for k in ("mean", "max", "attention")}}


@pytest.mark.parametrize("form", [{}, {"layers": 3}, {"bidirectional": True}, DEEP])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_logits_and_every_gradient_equal_those_of_the_network_in_torch(form, pooling):
    torch = pytest.importorskip("torch")
    rnn = torch.nn.utils.rnn
    model, variables = build(pooling=pooling, **form)
    params = trees.flatten(variables["params"])
    gradients = trees.flatten(jax.grad(lambda v: cross_entropy(model, v))(variables)["params"])

    sizes = VARIANTS["tiny"]
    embed = torch.nn.Embedding(VOCABULARY, sizes["width"])
    lstm = torch.nn.LSTM(
        sizes["width"],
        sizes["hidden"],
        num_layers=model.layers,
        bidirectional=model.bidirectional,
        batch_first=True,
    )
    head = torch.nn.Linear(sizes["hidden"] * (1 + model.bidirectional), 3)
    pairs = {
        "embed/embedding": embed.weight,
        "head/kernel": head.weight,
        "head/bias": head.bias,
    }
    names = {"input_kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih"}
    for i in range(model.layers):
        layer = f"lstm_{i}" if model.layers > 1 else "lstm"
        for ours, theirs in names.items():
            if model.bidirectional:
                pairs[f"{layer}/forward/{ours}"] = getattr(lstm, f"{theirs}_l{i}")
                pairs[f"{layer}/backward/{ours}"] = getattr(lstm, f"{theirs}_l{i}_reverse")
            else:
                pairs[f"{layer}/{ours}"] = getattr(lstm, f"{theirs}_l{i}")
    assert pairs.keys() == params.keys()

    def transposed(path, value):  # torch keeps every matrix but the embedding as [out, in]
        return np.array(value if path == "embed/embedding" else value.T)

    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            if name.startswith("bias_hh"):  # its two biases add up
                parameter.zero_()
        for path, parameter in pairs.items():
            parameter.copy_(torch.tensor(transposed(path, params[path])))
    packed = rnn.pack_padded_sequence(
        embed(torch.tensor(TOKENS)), LENGTHS, batch_first=True, enforce_sorted=False
    )
    outputs, (final, _) = lstm(packed)
    if pooling == "last":
        pooled = torch.cat(list(final[-2:]), -1) if model.bidirectional else final[-1]
    else:
        padded, _ = rnn.pad_packed_sequence(outputs, batch_first=True)  # zeros at the padding
        pooled = padded.sum(1) / torch.tensor(LENGTHS)[:, None]
    logits = head(pooled)
    torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS)).backward()

    got = model.apply(variables, TOKENS, MASK)
    np.testing.assert_allclose(got, logits.detach().numpy(), rtol=1e-4, atol=1e-6)
    for path, parameter in pairs.items():
        ours = transposed(path, gradients[path])
        np.testing.assert_allclose(ours, parameter.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_neither_the_ids_nor_the_amount_of_padding_matter(form):
    model, variables = build(**FORMS[form])
    assert_padding_does_not_matter(model, variables, TOKENS, MASK, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_presence_is_a_factor_of_each_embedding(form):
    model, variables = build(**FORMS[form])
    assert_presence_is_a_factor(model, variables, TOKENS, MASK, 0.0, 1e-6, 1e-7)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_a_text_without_tokens_gets_the_bias(pooling):
    model, variables = build(pooling=pooling, **DEEP)
    variables["params"]["head"]["bias"] += jnp.arange(3.0)
    logits = model.apply(variables, TOKENS, np.zeros_like(MASK))
    np.testing.assert_allclose(logits, np.tile(np.arange(3), (BATCH, 1)), atol=1e-6)


@pytest.mark.parametrize("kind", ["dropout", "embed_dropout", "word_dropout", "layer_dropout"])
def test_dropout_acts_in_training_only(kind):
    model, variables = build(**{kind: 0.5}, **DEEP)
    assert_dropout_acts_in_training_only(model, build(**DEEP)[0], variables, TOKENS, MASK)


def test_bfloat16_computes_close_to_float32_over_float32_parameters():
    form = {"pooling": "attention", **DEEP}
    model, variables = build(**form)
    half, half_variables = build(dtype=jnp.bfloat16, **form)
    assert {leaf.dtype for leaf in jax.tree.leaves(half_variables)} == {jnp.dtype("float32")}
    logits = half.apply(variables, TOKENS, MASK)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, model.apply(variables, TOKENS, MASK), atol=0.02)


def test_the_article_has_the_parameters_we_say():
    model = Model(10_000, num_classes=2, **VARIANTS["article"])
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TOKENS, MASK))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == 10_000 * 256 + (256 + 128 + 1) * 512 + 128 * 2 + 2
