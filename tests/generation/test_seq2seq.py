"""Answers over a cache, against the same model without one; many sources, and their beams."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.generation.seq2seq import Generator, padded_length
from bigmodel_jax.models import t5

VOCABULARY, END = 23, 1
SOURCES = [[3, 1, 4, 1, 5], [9, 2], [2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3]]
ABSOLUTE = {"positions": "sinusoids", "norm": "layer", "bias": True, "scale": None}
OPTIONS = {"t5": {}, "2017": ABSOLUTE, "scanned": {"scan": True}}
KINDS = [k if k == "t5" else pytest.param(k, marks=pytest.mark.slow) for k in OPTIONS]


def make_model(**fields):
    model = t5.Model(**{"vocabulary_size": VOCABULARY, **t5.VARIANTS["tiny"], **fields})
    tokens = jnp.zeros((1, 4), jnp.int32)
    variables = sharding.unbox(jax.jit(model.init)(jax.random.key(0), tokens, tokens))
    # Larger than as initialised, so that texts differ.
    return model, jax.tree.map(lambda x: x * 2 if x.ndim > 1 else x, variables)


def make_generator(model, variables, devices=1, **options):
    mesh = sharding.make_mesh({"data": devices}, jax.devices()[:devices])
    return Generator(model, variables, mesh, **options)


@functools.cache
def jitted(model):
    return jax.jit(model.apply)


def log_probabilities(model, variables, source, texts):
    """Of the next token after each text, float32 [texts, vocabulary], from the whole of it."""
    width = 16
    tokens = np.zeros((len(texts), width), np.int32)
    for row, text in zip(tokens, texts, strict=True):
        row[1 : len(text) + 1] = text
    sources = np.broadcast_to(np.array(source, np.int32), (len(texts), len(source)))
    logits = jitted(model)(variables, sources, tokens)
    at = [len(text) for text in texts]
    return np.asarray(jax.nn.log_softmax(logits))[np.arange(len(texts)), at]


def without_a_cache(model, variables, source, count):
    """The likeliest tokens, each from all before it."""
    text = []
    while len(text) < count and END not in text:
        text.append(int(log_probabilities(model, variables, source, [text])[0].argmax()))
    return text


def beams_without_a_cache(model, variables, source, count, beams):
    """What beam.py says, in words: lists of texts, every one read from its start."""
    alive, found = [([], 0.0)], []
    for step in range(1, count + 1):
        p = log_probabilities(model, variables, source, [text for text, _ in alive])
        more = [
            ([*text, i], total + float(p[n, i]))
            for n, (text, total) in enumerate(alive)
            for i in range(VOCABULARY)
        ]
        more = sorted(more, key=lambda pair: -pair[1])[: 2 * beams]
        done = [pair for pair in more[:beams] if pair[0][-1] == END or step == count]
        found = sorted([*found, *((t / len(x), x) for x, t in done)], key=lambda pair: -pair[0])
        found = found[:beams]
        alive = [pair for pair in more if pair[0][-1] != END][:beams]
        if len(found) == beams and alive[0][1] / step <= found[-1][0]:
            break
    return found[0][1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_over_a_cache_is_that_without_one(kind):
    model, variables = make_model(**OPTIONS[kind])
    found = make_generator(model, variables, ends=[END]).write(SOURCES, 12)
    assert found == [without_a_cache(model, variables, source, 12) for source in SOURCES]
    assert len({x for text in found for x in text}) > 3  # it does not stand still


@pytest.mark.parametrize("kind", KINDS)
def test_the_beams_of_many_sources_are_those_of_each_without_a_cache(kind):
    model, variables = make_model(**OPTIONS[kind])
    found = make_generator(model, variables, ends=[END]).search(SOURCES, 8, beams=3)
    want = [beams_without_a_cache(model, variables, source, 8, 3) for source in SOURCES]
    assert found == want


@pytest.mark.slow
def test_a_row_is_the_same_alone_and_on_two_devices():
    model, variables = make_model()
    how = Sampling(temperature=0.9, top_k=10, repetition_penalty=1.1)
    together = make_generator(model, variables).write(SOURCES, 12, how, seed=5)
    assert make_generator(model, variables).write(SOURCES[:1], 12, how, seed=5) == together[:1]
    two = make_generator(model, variables, devices=2)
    assert two.write(SOURCES, 12, how, seed=5) == together
    assert two.write(SOURCES, 12, how, seed=6) != together
    beams = make_generator(model, variables, ends=[END]).search(SOURCES, 8, beams=3)
    assert make_generator(model, variables, 2, ends=[END]).search(SOURCES, 8, beams=3) == beams


def test_the_loop_ends_with_its_last_row():
    class Counting(t5.Model):
        def decode(self, *inputs):
            jax.debug.callback(lambda: calls.append(1))
            return super().decode(*inputs)

    model, variables = make_model()
    calls = []
    counting = Counting(**{"vocabulary_size": VOCABULARY, **t5.VARIANTS["tiny"]})
    everything = list(range(VOCABULARY))
    found = make_generator(counting, variables, ends=everything).write(SOURCES, 1000)
    jax.effects_barrier()
    assert [len(text) for text in found] == [1, 1, 1] and len(calls) == 2
    calls.clear()
    make_generator(counting, variables, ends=everything).search(SOURCES, 1000, beams=2)
    jax.effects_barrier()
    assert len(calls) < 5


def test_a_shape_is_compiled_once_for_whatever_variables(caplog):
    model, variables = make_model()
    generator = make_generator(model, variables, ends=[END])
    first = generator.write(SOURCES, 9), generator.search(SOURCES, 9, beams=2)
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        generator.use(jax.tree.map(lambda x: x * 1.5, variables))
        assert (generator.write(SOURCES, 9), generator.search(SOURCES, 9, beams=2)) != first
    assert not [r.message for r in caplog.records if "Compiling jit(_" in r.message]


def test_ids_that_the_tokenizer_lacks_are_never_written():
    model, variables = make_model()
    found = make_generator(model, variables, known=10).write(SOURCES, 20)
    assert max(x for text in found for x in text) < 10


def test_padded_lengths_are_few():
    assert [padded_length(n) for n in (1, 16, 17, 64, 65)] == [16, 16, 32, 64, 128]


@pytest.mark.parametrize(
    "sources, message",
    [
        ([[1], []], "Source 2 of 2 is empty"),
        ([[1, 99]], "holds the token 99, but the model knows 23"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused(sources, message):
    model, variables = make_model()
    with pytest.raises(UserError, match=message):
        make_generator(model, variables).write(sources, 5)
