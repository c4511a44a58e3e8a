"""LoRA against NumPy, against the model without it, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import optim, sharding, steps, trees
from bigmodel_jax.config import build
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError

CLOCK = Clock(steps_per_epoch=10, batch_size=4, total=20)
ATTENTION = r".*/attention/(query|key|value|out)/kernel"
MODEL = dict(name="transformer", vocabulary_size=30, num_classes=3, width=8, num_heads=2)
TRAIN = ("lora/.*", "head/.*")
INNER = dict(name="classify")


def make(task=None, **options):
    return build("tasks", task or dict(name="lora", task=INNER, **options), model=MADE)


MADE = build("models", MODEL)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 30, (4, 6)).astype(np.int32)
    label = rng.integers(0, 3, 4).astype(np.int32)
    mask = np.arange(6) < np.array([[6], [4], [5], [1]])
    return {"tokens": tokens, "mask": mask, "label": label, "valid": np.ones(4, bool)}


def start(task, batch):
    return sharding.unbox(task.init(jax.random.key(0), batch))


def moved(variables):
    """Variables whose b is no longer zero."""
    lora = trees.map_paths(
        lambda path, x: x + 0.1 * jax.random.normal(jax.random.key(len(path)), x.shape),
        variables["params"]["lora"],
    )
    return {**variables, "params": {**variables["params"], "lora": lora}}


def trained(task, batch, count, **options):
    variables = start(task, batch)
    spec = dict(name="adamw", lr=0.05, **{"train": TRAIN, **options})
    step = steps.counted(task.step(optim.build(spec, CLOCK, variables["params"])))
    state = steps.create_state(step, variables)
    rows = []
    for _ in range(count):
        with jax.numpy_dtype_promotion("standard"):  # optax relies on it
            state, row = jax.jit(step.update)(state, batch, jax.random.key(1))
        rows.append(row)
    return variables, state, rows


def test_at_step_0_it_is_the_model_without_it_bit_for_bit(batch):
    plain, lora = make(INNER), make(target=(ATTENTION,))
    base, variables = start(plain, batch), start(lora, batch)
    rest = {k: v for k, v in variables["params"].items() if k != "lora"}
    jax.tree.map(np.testing.assert_array_equal, rest, base["params"])
    assert set(trees.flatten(variables["params"]["lora"])) == {
        f"encoder/block_{i}/attention/{name}/kernel/{x}"
        for i in range(2)
        for name in ("query", "key", "value", "out")
        for x in "ab"
    }
    np.testing.assert_array_equal(
        lora.predict(variables, batch)["logits"], plain.predict(base, batch)["logits"]
    )
    ours, theirs = (
        t.loss(v, batch, jax.random.key(0), train=False)[0]
        for t, v in ((lora, variables), (plain, base))
    )
    np.testing.assert_array_equal(ours.total, theirs.total)


def test_the_kernels_are_those_that_numpy_computes(batch):
    task = make(target=(ATTENTION, "encoder/.*/mlp/up/kernel"), rank=3, alpha=12)
    variables = moved(start(task, batch))
    merged = trees.flatten(task.merge(variables["params"]))
    flat = {k: np.asarray(x, np.float64) for k, x in trees.flatten(variables["params"]).items()}
    assert merged.keys() == {k for k in flat if not k.startswith("lora/")}
    changed = set()
    for path, kernel in merged.items():
        if (pair := f"lora/{path}") + "/a" in flat:
            a, b, w = flat[pair + "/a"], flat[pair + "/b"], flat[path]
            assert a.shape[1] == b.shape[0] == 3 and len(a) * b.shape[1] == w.size
            wanted = w.copy()
            for r in range(3):  # each rank an outer product over all axes of the kernel
                wanted += 12 / 3 * np.multiply.outer(a[:, r], b[r]).reshape(w.shape)
            np.testing.assert_allclose(kernel, wanted, rtol=1e-5, atol=1e-6, err_msg=path)
            changed.add(path)
        else:
            np.testing.assert_array_equal(kernel, flat[path].astype(kernel.dtype))
    assert len(changed) == 10
    out = flat["lora/encoder/block_0/attention/out/kernel/a"]
    assert out.shape == (8, 3)  # [heads * head_dim, rank]: both are its inputs


def test_merged_parameters_give_the_logits_of_unmerged_ones(batch):
    task, plain = make(target=(ATTENTION,)), make(INNER)
    variables = moved(start(task, batch))
    logits = task.predict(variables, batch)["logits"]
    merged = {"params": task.merge(variables["params"])}
    np.testing.assert_allclose(plain.predict(merged, batch)["logits"], logits, atol=1e-6)
    without = {"params": {k: v for k, v in variables["params"].items() if k != "lora"}}
    assert np.abs(plain.predict(without, batch)["logits"] - logits).max() > 1e-3
    np.testing.assert_array_equal(task.logits(variables, batch), logits)
    assert task.target == "class" and task.evaluator == "classification"
    assert task.predict is task.predict  # or jit would compile it again


def test_only_what_is_low_rank_and_the_head_change_and_the_loss_falls(batch):
    before, state, rows = trained(make(target=(ATTENTION,)), batch, 10)
    old, new = trees.flatten(before["params"]), trees.flatten(state.params)
    for path in old:
        same = np.array_equal(old[path], new[path])
        assert same != path.startswith(("lora/", "head/")), path
    moments = set(trees.flatten(state.slots["train"]["state"][0].mu))
    assert moments == {path for path in old if path.startswith(("lora/", "head/"))}
    assert rows[-1]["loss"].total < 0.7 * rows[0]["loss"].total


def test_the_gradient_of_b_is_that_of_the_kernel_times_a(batch):
    task, path = make(target=(ATTENTION,), alpha=4, rank=8), "encoder/block_1/attention/out/kernel"
    variables = start(task, batch)
    plain = {"params": {k: v for k, v in variables["params"].items() if k != "lora"}}

    def gradient(task, variables):
        def total(params):
            return task.loss({"params": params}, batch, jax.random.key(0), train=False)[0].total

        return trees.flatten(jax.grad(total)(variables["params"]))

    whole = np.asarray(gradient(make(INNER), plain)[path]).reshape(8, 8)
    found = gradient(task, variables)
    a = np.asarray(trees.flatten(variables["params"])[f"lora/{path}/a"])
    np.testing.assert_allclose(found[f"lora/{path}/b"], 0.5 * a.T @ whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found[f"lora/{path}/a"], np.zeros((8, 8)))


class Scanned:
    """A task without a model, whose parameters are a scanned stack."""

    def init(self, rng, batch):
        def named(shape, *names):
            return sharding.axes(jax.nn.initializers.normal(1.0), *names)(rng, shape, jnp.float32)

        query = named((3, 4, 2, 5), "layers", "embed", "heads", "head_dim")
        out = named((3, 2, 5, 4), "layers", "heads", "head_dim", "embed")
        attention = {"query": {"kernel": query}, "out": {"kernel": out}}
        plain = {"kernel": jnp.ones((3, 4, 6))}  # nobody has named its axes
        return {"params": {"decoder": {"blocks": {"attention": attention, "up": plain}}}}


def test_scanned_layers_have_changes_of_their_own():
    task = make(target=(".*kernel",), rank=2, alpha=2)
    task.task = Scanned()
    variables = moved(sharding.unbox(task.init(jax.random.key(0), {})))
    flat = trees.flatten(variables["params"])
    shapes = {k: x.shape for k, x in flat.items() if k.startswith("lora")}
    start = "lora/decoder/blocks"
    assert shapes == {
        f"{start}/attention/query/kernel/a": (3, 4, 2),
        f"{start}/attention/query/kernel/b": (3, 2, 10),
        f"{start}/attention/out/kernel/a": (3, 10, 2),
        f"{start}/attention/out/kernel/b": (3, 2, 4),
        f"{start}/up/kernel/a": (3, 4, 2),
        f"{start}/up/kernel/b": (3, 2, 6),
    }
    merged = trees.flatten(task.merge(variables["params"]))
    for path, kernel in merged.items():
        for i in range(3):
            change = np.asarray(flat[f"lora/{path}/a"][i]) @ np.asarray(flat[f"lora/{path}/b"][i])
            wanted = np.asarray(flat[path][i]) + change.reshape(kernel.shape[1:])
            np.testing.assert_allclose(kernel[i], wanted, rtol=1e-5, atol=1e-6)


def test_what_is_made_carries_the_names_of_the_kernels_axes(batch):
    task = make(target=(ATTENTION,))
    names = sharding.axis_names(task.init(jax.random.key(0), batch)["params"])
    query, out = (f"lora/encoder/block_0/attention/{x}/kernel" for x in ("query", "out"))
    assert names[f"{query}/a"] == ("embed", None) and names[f"{query}/b"] == (None, "heads")
    assert names[f"{out}/a"] == ("heads", None) and names[f"{out}/b"] == (None, "embed")


def test_a_fit_of_the_inner_task_is_made(batch):
    task = make(dict(name="lora", task=dict(name="classify", class_weights="balanced")))
    variables = start(task, batch)
    fitted = task.fit(variables, [batch])
    assert fitted["params"]["lora"] is variables["params"]["lora"]
    counts = np.bincount(batch["label"], minlength=3)
    wanted = np.where(counts > 0, 4 / (np.count_nonzero(counts) * np.maximum(counts, 1)), 1.0)
    np.testing.assert_allclose(fitted["class_weights"], wanted, rtol=1e-6)
    task = make()
    variables = start(task, batch)
    assert task.fit(variables, [batch]) is variables


@pytest.mark.parametrize(
    "options, complaint",
    [
        (dict(target=(".*/atention/.*",)), "config.task.target: '.*/atention/.*' matches no"),
        (dict(target=("head/bias",)), "config.task.target: 'head/bias' matches no"),
        (dict(target="head/kernel"), "is the string"),
        (dict(rank=0), "config.task.rank is 0"),
        (dict(alpha=0), "config.task.alpha is 0"),
        (dict(task=dict(name="lora", task=dict(name="lora", task=INNER))), "lora in a lora"),
        (dict(task=dict(name="lora", task=dict(name="clasify"))), "no 'clasify'"),
    ],
)
def test_what_it_cannot_be_is_named(batch, options, complaint):
    with pytest.raises(UserError, match=complaint.replace("*", r"\*").replace("(", r"\(")):
        make(**options).init(jax.random.key(0), batch)


@pytest.mark.parametrize(
    "train, complaint",
    [
        (("head/.*",), "owns nothing of lora"),
        ((".*",), "owns encoder/block_0/attention/query/kernel, which config.task lora"),
    ],
)
def test_an_optimizer_that_trains_the_wrong_parameters_is_refused(batch, train, complaint):
    with pytest.raises(UserError, match=complaint):
        trained(make(), batch, 0, train=train)
