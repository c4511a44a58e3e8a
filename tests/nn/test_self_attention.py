"""Self-attention as a layer: its parameters, and the cache."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.positions import rotation
from bigmodel_jax.nn.self_attention import SelfAttention, init_cache

BATCH, LENGTH, DIM = 2, 6, 8
X = np.random.default_rng(0).normal(size=(BATCH, LENGTH, DIM)).astype(np.float32)


def test_self_attention_names_its_parameters_and_their_axes():
    x = jnp.ones((BATCH, LENGTH, 8))
    params = SelfAttention(2).init(jax.random.key(0), x)["params"]
    assert sorted(params) == ["key", "out", "query", "value"]
    for name in ("query", "key", "value"):
        assert params[name]["kernel"].names == ("embed", "heads", "head_dim")
        assert params[name]["kernel"].value.shape == (8, 2, 4)
        assert params[name]["bias"].names == ("heads", "head_dim")
    assert params["out"]["kernel"].names == ("heads", "head_dim", "embed")
    assert params["out"]["kernel"].value.shape == (2, 4, 8)
    assert params["out"]["bias"].names == ("embed",)
    # Xavier's bound for a matrix of 8 by 8, whatever the number of heads.
    kernels = [np.abs(nn.unbox(params[name]["kernel"])).max() for name in params]
    assert 0.5 < max(kernels) <= (6 / 16) ** 0.5


def test_a_width_that_does_not_divide_into_heads_is_told():
    with pytest.raises(UserError, match="width of 8 does not divide into 3 heads"):
        SelfAttention(3).init(jax.random.key(0), jnp.ones((1, 2, 8)))


def test_groups_share_keys_and_values_and_are_an_axis_of_their_own():
    layer = SelfAttention(4, num_groups=2, head_dim=6, qkv_bias=False, qk_norm_epsilon=1e-6)
    params = layer.init(jax.random.key(0), X)["params"]
    assert params["query"]["kernel"].names == ("embed", "heads", "head_dim")
    assert params["query"]["kernel"].value.shape == (DIM, 4, 6)
    for name in ("key", "value"):
        assert list(params[name]) == ["kernel"]
        assert params[name]["kernel"].names == ("embed", "groups", "head_dim")
        assert params[name]["kernel"].value.shape == (DIM, 2, 6)
    assert params["query_norm"]["scale"].names == ("head_dim",)
    assert sorted(params["out"]) == ["bias", "kernel"]


def test_groups_that_do_not_divide_the_heads_are_told():
    with pytest.raises(UserError, match="4 heads do not divide into 3 groups"):
        SelfAttention(4, num_groups=3).init(jax.random.key(0), X)


@pytest.mark.parametrize("window", [None, 2])
def test_a_cache_filled_piece_by_piece_gives_what_the_whole_text_does(window):
    layer = SelfAttention(2, num_groups=1, causal=True)
    variables = nn.unbox(layer.init(jax.random.key(0), X))
    numbers = jnp.broadcast_to(jnp.arange(LENGTH), (BATCH, LENGTH))

    def turn(part):
        return rotation(numbers[:, part], 4, 100.0)

    want, _ = layer.apply(variables, X, rotation=turn(slice(None)), window=window)
    # What an earlier text left behind is overwritten before it is seen.
    cache = jax.tree.map(lambda c: c + 50.0, init_cache(BATCH, LENGTH + 2, 1, 4, jnp.float32))
    pieces = []
    for part in (slice(0, 3), slice(3, 4), slice(4, 6)):
        fields = {"rotation": turn(part), "window": window, "positions": numbers[:, part]}
        y, cache = layer.apply(variables, X[:, part], cache=cache, **fields)
        pieces.append(y)
    np.testing.assert_allclose(jnp.concatenate(pieces, 1), want, rtol=1e-4, atol=1e-5)


def test_a_position_beyond_the_cache_is_not_written():
    layer = SelfAttention(2, causal=True)
    variables = nn.unbox(layer.init(jax.random.key(0), X))
    cache = init_cache(BATCH, 4, 2, 4, jnp.float32)
    numbers = jnp.broadcast_to(jnp.arange(LENGTH), (BATCH, LENGTH))
    _, whole = layer.apply(variables, X, cache=cache, positions=numbers)
    _, cut = layer.apply(variables, X[:, :4], cache=cache, positions=numbers[:, :4])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), whole, cut)
