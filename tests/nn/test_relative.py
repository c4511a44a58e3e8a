"""Relative positions: a text's bias by shifting, against one entry after another; beams and sources."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.cross_attention import CrossAttention, init_cache
from bigmodel_jax.nn.relative import RelativeBias, buckets

HEADS, LENGTH = 3, 13


@pytest.mark.parametrize("two_sided", [True, False])
def test_the_bias_of_a_pair_of_tokens_is_that_of_its_distances_bucket(two_sided):
    layer = RelativeBias(HEADS, num_buckets=8, max_distance=10, two_sided=two_sided)
    params = sharding.unbox(layer.init(jax.random.key(0), LENGTH))
    table = np.asarray(params["params"]["embedding"])
    found = np.asarray(layer.apply(params, LENGTH))
    assert found.shape == (1, HEADS, LENGTH, LENGTH)
    bucket = buckets(4 if two_sided else 8, 10)
    for query in range(LENGTH):
        for key in range(LENGTH):
            distance = key - query
            far = abs(distance) if two_sided else max(-distance, 0)
            row = bucket[min(far, 10)] + (4 if two_sided and distance > 0 else 0)
            np.testing.assert_array_equal(found[0, :, query, key], table[row])


def test_queries_at_positions_have_their_rows_of_the_whole_bias_and_its_gradient():
    layer = RelativeBias(HEADS, num_buckets=8, max_distance=10, two_sided=False)
    params = sharding.unbox(layer.init(jax.random.key(0), LENGTH))
    positions = jnp.array([[4], [12]])
    weights = np.random.default_rng(0).normal(size=(1, HEADS, LENGTH, LENGTH)).astype(np.float32)

    def whole(params):
        bias = layer.apply(params, LENGTH)
        return (bias * weights).sum(), bias

    def by_position(params):
        order = jnp.arange(LENGTH)[None]
        return (layer.apply(params, LENGTH, order) * weights).sum()

    gradient, bias = jax.grad(whole, has_aux=True)(params)
    found = layer.apply(params, LENGTH, positions)
    np.testing.assert_array_equal(found, np.asarray(bias)[0][:, [[4], [12]]].transpose(1, 0, 2, 3))
    want = jax.grad(by_position)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), gradient, want)


def test_beams_of_a_source_see_what_each_would_see_in_a_row_of_its_own():
    layer = CrossAttention(2)
    rng = np.random.default_rng(0)
    memory = rng.normal(size=(2, 5, 8)).astype(np.float32)
    mask = np.arange(5) < np.array([[5], [3]])
    x = rng.normal(size=(6, 1, 8)).astype(np.float32)  # three beams of each
    wide = np.repeat(memory, 3, 0), np.repeat(mask, 3, 0)[:, None, None]
    params = layer.init(jax.random.key(0), x, *wide)
    want, _ = layer.apply(params, x, *wide)
    empty = init_cache(2, 5, 2, 4, jnp.float32)
    _, cache = layer.apply(params, x[::3], memory, mask[:, None, None], empty)
    found, same = layer.apply(params, x, None, cache=cache)
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, same, cache)
