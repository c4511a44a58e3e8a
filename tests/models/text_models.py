"""What holds for every model that embeds the words of a text, asserted in one place."""

import jax
import numpy as np


def assert_padding_does_not_matter(model, variables, tokens, mask, atol):
    """Neither its ids nor its amount."""
    want = model.apply(variables, tokens, mask)
    np.testing.assert_array_equal(model.apply(variables, np.where(mask, tokens, 7), mask), want)
    wide = np.pad(tokens, ((0, 0), (0, 5))), np.pad(mask, ((0, 0), (0, 5)))
    np.testing.assert_allclose(model.apply(variables, *wide), want, rtol=1e-5, atol=atol)


def assert_presence_is_a_factor(model, variables, tokens, mask, factor, rtol, atol):
    """Of a word's embedding: ones are nothing, `factor` is a table with that word times `factor`."""
    ones = np.ones(mask.shape, np.float32)
    want = model.apply(variables, tokens, mask)
    np.testing.assert_array_equal(model.apply(variables, tokens, mask, presence=ones), want)

    word = tokens[0, 0]
    table = np.array(variables["params"]["embed"]["embedding"])
    table[word] *= factor
    fainter = {**variables["params"], "embed": {"embedding": table}}
    presence = np.where(word == tokens, factor, 1).astype(np.float32)
    got = model.apply(variables, tokens, mask, presence=presence)
    want = model.apply({"params": fainter}, tokens, mask)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def assert_dropout_acts_in_training_only(model, plain, variables, tokens, mask):
    """`plain` is the model without any; the same key drops the same."""
    want = plain.apply(variables, tokens, mask)
    np.testing.assert_array_equal(model.apply(variables, tokens, mask), want)
    noisy = [
        model.apply(variables, tokens, mask, train=True, rngs={"dropout": jax.random.key(seed)})
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2]) and not np.allclose(noisy[0], want)
