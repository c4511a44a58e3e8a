"""Attention against JAX's, torch's and a loop, and what nobody looks at."""

import functools
import itertools
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.attention import attention, choose, flash_attention, visible
from bigmodel_jax.nn.splash_attention import splash_attention
from bigmodel_jax.nn.written_attention import written_attention

BATCH, LENGTH, HEADS, SIZE = 3, 6, 4, 8
LENGTHS = np.array([6, 2, 4])
KEYS = (np.arange(LENGTH) < LENGTHS[:, None])[:, None, None, :]  # [b, 1, 1, keys]
MASKS = {
    "none": None,
    "padding": KEYS,
    "each query": np.random.default_rng(1).random((BATCH, 1, LENGTH, LENGTH)) < 0.6,
    "each head": np.random.default_rng(2).random((BATCH, HEADS, LENGTH, LENGTH)) < 0.6,
    "each head, all queries": np.random.default_rng(3).random((BATCH, HEADS, 1, LENGTH)) < 0.6,
}


def operands(groups=HEADS, keys=LENGTH, dtype=jnp.float32):
    """q, k, v and a weight for each output."""
    rng = np.random.default_rng(0)
    shapes = [(LENGTH, HEADS), (keys, groups), (keys, groups), (LENGTH, HEADS)]
    return [jnp.asarray(rng.normal(size=(BATCH, *shape, SIZE)), dtype) for shape in shapes]


def by_loop(q, k, v, mask=None, causal=False):
    """One query of one head at a time, in NumPy."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out = np.zeros_like(q)
    mask = np.broadcast_to(True if mask is None else mask, (BATCH, HEADS, LENGTH, k.shape[1]))
    for b, i, n in np.ndindex(BATCH, LENGTH, HEADS):
        group = n * k.shape[2] // HEADS
        seen = [j for j in range(k.shape[1]) if mask[b, n, i, j] and (j <= i or not causal)]
        if seen:
            weights = np.exp(k[b, seen, group] @ q[b, i, n] / np.sqrt(SIZE))
            out[b, i, n] = weights @ v[b, seen, group] / weights.sum()
    return out


def value_and_gradients(function, inputs):
    *inputs, weight = inputs
    out, pull = jax.vjp(function, *inputs)
    return out, *pull(weight)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("mask", MASKS)
def test_each_query_reads_what_it_may_see(mask, groups, causal):
    q, k, v, _ = operands(groups)
    got = attention(q, k, v, mask=MASKS[mask], causal=causal)
    want = by_loop(q, k, v, MASKS[mask], causal)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("mask", MASKS)
def test_gradients_are_those_of_automatic_differentiation(mask, groups):
    # Every query sees something: JAX's own gives a mean to one that does not.
    mask = MASKS[mask]
    if mask is not None:
        mask = mask.copy()
        mask[..., 0] = True
    inputs = operands(groups)
    got = value_and_gradients(lambda q, k, v: attention(q, k, v, mask=mask), inputs)
    shape = (BATCH, HEADS, LENGTH, LENGTH)
    broad = None if mask is None else np.broadcast_to(mask, shape)
    want = value_and_gradients(
        lambda q, k, v: jax.nn.dot_product_attention(q, k, v, mask=broad), inputs
    )
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_keys_may_be_of_another_sequence():
    q, k, v, _ = operands(keys=3)
    np.testing.assert_allclose(attention(q, k, v), by_loop(q, k, v), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_it_equals_torch_in_value_and_gradients(causal):
    torch = pytest.importorskip("torch")
    inputs = operands()
    mask = None if causal else KEYS
    got = value_and_gradients(lambda q, k, v: attention(q, k, v, mask=mask, causal=causal), inputs)
    leaves = [torch.tensor(np.array(x.swapaxes(1, 2)), requires_grad=True) for x in inputs]
    out = torch.nn.functional.scaled_dot_product_attention(
        *leaves[:3], attn_mask=None if mask is None else torch.tensor(mask), is_causal=causal
    )
    (out * leaves[3]).sum().backward()
    want = [out.detach(), *(leaf.grad for leaf in leaves[:3])]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.swapaxes(1, 2), b.numpy(), rtol=1e-4, atol=1e-5)


FORMS = {  # JAX's own without cuDNN, which has no CPU
    "flash": lambda q, k, v, mask: flash_attention(
        q, k, v, mask, False, None, SIZE**-0.5, implementation="xla"
    ),
    "written": lambda q, k, v, mask: written_attention(q, k, v, mask, None, SIZE**-0.5),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_query_that_sees_nothing_gives_zeros_and_finite_gradients(form):
    mask = np.broadcast_to(KEYS & (np.arange(BATCH) != 1)[:, None, None, None], KEYS.shape)
    inputs = operands()

    def chosen(q, k, v):
        return FORMS[form](q, k, v, mask)

    out, *gradients = value_and_gradients(chosen, inputs)
    assert not np.any(out[1]) and np.all(out[0])
    assert not any(np.any(g[1]) for g in gradients)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("mask", MASKS)
def test_the_form_for_a_gpu_is_the_same_function(mask, groups):
    inputs = operands(groups)
    results = [
        value_and_gradients(lambda q, k, v, f=form: f(q, k, v, MASKS[mask]), inputs)
        for form in FORMS.values()
    ]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_close_and_stays_bfloat16():
    exact = value_and_gradients(lambda *x: attention(*x, mask=KEYS), operands())
    half = value_and_gradients(lambda *x: attention(*x, mask=KEYS), operands(dtype=jnp.bfloat16))
    for a, b in zip(half, exact, strict=True):
        assert a.dtype == jnp.bfloat16
        distance = np.linalg.norm(np.asarray(a, np.float32) - b)
        assert distance < 0.02 * np.linalg.norm(b)


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("length", [1, 5, 64])
@pytest.mark.parametrize("size", [1, 8, 20])
def test_bfloat16_gradients_run_between_projections(size, length, groups):
    """The CPU's bfloat16 products depend on what the compiler folds into them: layouts, sizes."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, length, 12)), jnp.float32)
    kernels = [rng.normal(size=(12, h, size)) / 4 for h in (HEADS, groups, groups)]
    kernels = [jnp.asarray(kernel, jnp.float32) for kernel in kernels]

    @functools.partial(jax.jit, static_argnums=2)
    def gradients(x, kernels, dtype):
        def value(x, kernels):
            q, k, v = (jnp.einsum("bli,ihd->blhd", x, w).astype(dtype) for w in kernels)
            return (attention(q, k, v, causal=True).astype(jnp.float32) ** 2).sum()

        return jax.grad(value, argnums=(0, 1))(x, kernels)

    whole, half = gradients(x, kernels, jnp.float32), gradients(x, kernels, jnp.bfloat16)
    for got, want in zip(jax.tree.leaves(half), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(got, want, rtol=0.05, atol=0.03 * (1e-3 + jnp.abs(want).max()))


def test_large_scores_do_not_overflow():
    q, k, v, _ = operands()
    assert np.isfinite(attention(q * 1e4, k * 1e4, v)).all()


SEGMENTS = np.array([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 3, 3], [1, 1, 1, 1, 1, 1]], np.int32)


def naively(q, k, v, segments=None, causal=False, window=None, softcap=None, scale=None):
    """All heads written out, differentiated automatically; every query sees itself at least."""
    k, v = (jnp.repeat(x, HEADS // x.shape[2], axis=2) for x in (k, v))
    scores = jnp.einsum("blhd,bkhd->bhlk", q, k) * (SIZE**-0.5 if scale is None else scale)
    if softcap is not None:
        scores = softcap * jnp.tanh(scores / softcap)
    for i, j in itertools.product(range(LENGTH), range(LENGTH)):
        hidden = (causal and j > i) or (window is not None and abs(i - j) >= window)
        if hidden:
            scores = scores.at[:, :, i, j].set(-jnp.inf)
    if segments is not None:
        same = segments[:, None, :, None] == segments[:, None, None, :]
        scores = jnp.where(same, scores, -jnp.inf)
    return jnp.einsum("bhlk,bkhd->blhd", jax.nn.softmax(scores), v)


@pytest.mark.parametrize("groups", [4, 1])
@pytest.mark.parametrize("softcap, scale", [(None, None), (0.7, 0.5)])
@pytest.mark.parametrize("window", [None, 1, 3])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("segments", [None, SEGMENTS], ids=["one document", "packed"])
def test_all_options_together_in_value_and_gradients(
    segments, causal, window, softcap, scale, groups
):
    options = {"segments": segments, "causal": causal, "window": window}
    options |= {"softcap": softcap, "scale": scale}
    inputs = operands(groups)
    got = value_and_gradients(functools.partial(attention, **options), inputs)
    want = value_and_gradients(functools.partial(naively, **options), inputs)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("groups", [4, 2])
def test_a_bias_is_added_to_the_scores_and_has_a_gradient(groups, rows):
    bias = np.random.default_rng(5).normal(size=(rows, HEADS, LENGTH, LENGTH)).astype(np.float32)
    q, k, v, weights = operands(groups)
    visible = SEGMENTS[:, :, None] == SEGMENTS[:, None]

    def plainly(q, k, v, bias):
        k, v = (jnp.repeat(x, HEADS // groups, axis=2) for x in (k, v))
        scores = 0.5 * jnp.tanh(jnp.einsum("blhd,bkhd->bhlk", q, k) * SIZE**-0.5 / 0.5) + bias
        scores = jnp.where(visible[:, None], scores, -jnp.inf)
        return jnp.einsum("bhlk,bkhd->blhd", jax.nn.softmax(scores), v)

    def ours(q, k, v, bias):
        return attention(q, k, v, segments=SEGMENTS, bias=bias, softcap=0.5)

    results = []
    for form in (ours, plainly):

        def loss(*inputs, form=form):
            return (form(*inputs) * weights).sum()

        results.append(jax.value_and_grad(loss, argnums=(0, 1, 2, 3))(q, k, v, bias))
    (value, gradients), (want, wanted) = results
    np.testing.assert_allclose(value, want, rtol=1e-4)
    for a, b in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_window_may_be_an_array():
    q, k, v, _ = operands()
    got = jax.jit(lambda w: attention(q, k, v, causal=True, window=w))(jnp.int32(2))
    np.testing.assert_allclose(got, attention(q, k, v, causal=True, window=2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("window", [None, 3])
def test_causal_windows_are_handed_to_jaxs_own_in_its_count(window):
    q, k, v, _ = operands(groups=2)
    got = flash_attention(q, k, v, None, True, window, SIZE**-0.5, implementation="xla")
    want = attention(q, k, v, causal=True, window=window)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


CHOICES = [
    ("gpu", jnp.bfloat16, 1024, 64, {}, "cudnn"),
    ("gpu", jnp.float16, 1023, 128, {}, "cudnn"),
    ("gpu", jnp.bfloat16, 1024, 64, {"varying": True, "dense": True}, "cudnn"),
    ("gpu", jnp.bfloat16, 1023, 64, {"dense": True}, "written"),
    ("gpu", jnp.float32, 1024, 64, {}, "written"),
    ("gpu", jnp.bfloat16, 1024, 256, {}, "written"),
    ("gpu", jnp.bfloat16, 1024, 36, {}, "written"),
    ("gpu", jnp.bfloat16, 1024, 64, {"softcap": True}, "written"),
    ("gpu", jnp.bfloat16, 1, 64, {}, "written"),
    ("tpu", jnp.bfloat16, 1024, 64, {"dense": True}, "splash"),
    ("tpu", jnp.float32, 384, 256, {"softcap": True}, "splash"),
    ("tpu", jnp.bfloat16, 1024, 64, {"varying": True, "dense": True}, "written"),
    ("tpu", jnp.bfloat16, 1024, 64, {"whole": False}, "written"),
    ("tpu", jnp.bfloat16, 1000, 64, {}, "written"),
    ("tpu", jnp.bfloat16, 1024, 32, {}, "written"),
    ("cpu", jnp.bfloat16, 1024, 64, {}, "written"),
    ("tpu", jnp.bfloat16, 1024, 64, {"whole": False, "ring": True}, "ring"),
    ("gpu", jnp.bfloat16, 1024, 64, {"ring": True, "varying": True, "dense": True}, "cudnn"),
]


@pytest.mark.parametrize("backend, dtype, length, size, view, want", CHOICES)
def test_the_form_is_chosen_by_what_the_kernel_can(backend, dtype, length, size, view, want):
    shape = (2, length, HEADS, size)
    view = {
        "varying": False,
        "dense": False,
        "softcap": False,
        "whole": True,
        "ring": False,
        **view,
    }
    assert choose(backend, shape, shape, dtype, **view) == want


@pytest.mark.parametrize(  # interpreted, the kernel takes seconds: no grid of options
    "groups, mesh, view",
    [
        (4, None, {"causal": True, "segments": True}),
        (1, None, {"causal": False, "window": 70}),
        (2, None, {"causal": True, "window": 70, "softcap": 0.7, "scale": 0.2}),
        (2, {"data": 2, "tensor": 2}, {"causal": False, "segments": True}),
    ],
)
def test_the_form_for_a_tpu_is_the_same_function(groups, mesh, view):
    rng = np.random.default_rng(0)
    shapes = [(256, 4), (256, groups), (256, groups), (256, 4)]
    inputs = [jnp.asarray(rng.normal(size=(2, *shape, 64)), jnp.float32) for shape in shapes]
    view = {"segments": False, "window": None, "softcap": None, "scale": 0.125, **view}
    view["segments"] = (
        jnp.asarray(np.arange(256) // [[100], [60]] + 1) if view["segments"] else None
    )
    want = value_and_gradients(lambda *x: attention(*x, **view), inputs)

    def kernel(*x):
        return splash_attention(*x, **view, interpret=True)

    layout = nullcontext()
    if mesh:
        devices = jax.devices()[:4]
        layout = sharding.use(sharding.make_mesh(mesh, devices))
    with layout:
        got = jax.jit(lambda x: value_and_gradients(kernel, x))(inputs)
    for a, b in zip(got, want, strict=True):
        assert np.linalg.norm(a - b) < 1e-5 * np.linalg.norm(b)


@pytest.mark.parametrize("mesh, rows", [({"tensor": 8}, 8), ({"data": 8}, 4), ({"sequence": 8}, 8)])
def test_a_kernel_is_not_chosen_where_a_device_would_have_part_of_a_text_or_head(
    mesh, rows, monkeypatch
):
    monkeypatch.setattr(sharding, "platform", lambda: "tpu")
    q = jax.ShapeDtypeStruct((rows, 128, 4, 64), jnp.float32)

    def kernels():
        return str(jax.make_jaxpr(attention)(q, q, q)).count("pallas_call")

    assert kernels() == 1
    with sharding.use(sharding.make_mesh(mesh)):
        assert kernels() == 0


@pytest.mark.parametrize(
    "groups, mesh, view",
    [
        (4, {"sequence": 4}, {"causal": True}),
        (2, {"data": 2, "sequence": 4}, {"causal": True, "segments": True, "softcap": 0.7}),
        (2, {"data": 2, "sequence": 2, "tensor": 2}, {"causal": False, "window": 5, "scale": 0.2}),
        (4, {"sequence": 8}, {"causal": True, "window": 3, "segments": True}),
        (1, {"sequence": 4}, {"causal": False}),
    ],
)
def test_a_ring_over_a_split_length_is_the_same_function(groups, mesh, view):
    rng = np.random.default_rng(0)
    shapes = [(16, 4), (16, groups), (16, groups), (16, 4)]
    inputs = [jnp.asarray(rng.normal(size=(2, *shape, 8)), jnp.float32) for shape in shapes]
    if view.pop("segments", False):
        view["segments"] = jnp.asarray(np.arange(16) // [[7], [20]] + 1)
    want = value_and_gradients(lambda *x: attention(*x, **view), inputs)
    devices = jax.devices()[: np.prod(list(mesh.values()))]
    with sharding.use(sharding.make_mesh(mesh, devices)):
        step = jax.jit(lambda x: value_and_gradients(lambda *x: attention(*x, **view), x))
        assert "ppermute" in str(step.trace(inputs).jaxpr)
        got = step(inputs)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_in_a_ring_no_device_holds_scores_of_more_than_a_part_of_the_keys():
    q = jax.ShapeDtypeStruct((2, 64, 4, 8), jnp.float32)
    with sharding.use(sharding.make_mesh({"sequence": 8})):
        gradient = jax.grad(lambda q, k, v: attention(q, k, v, causal=True).sum(), (0, 1, 2))
        jaxpr = str(jax.make_jaxpr(gradient)(q, q, q))
    assert "f32[2,4,1,8,8]" in jaxpr and ",64,64]" not in jaxpr and ",8,64]" not in jaxpr


def test_nothing_limits_the_view_unless_asked():
    assert visible(3, 3, None, False, None, None) is None
