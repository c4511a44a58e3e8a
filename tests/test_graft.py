"""Runs that start from other runs: what they take, what they refuse, and before what."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import checkpoint, experiment, graft, sharding, summary, trees
from bigmodel_jax.checkpoint import Checkpointer
from bigmodel_jax.config import complete
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.rundir import RunDir
from bigmodel_jax.steps import TrainState
from bigmodel_jax.train import train
from tests.laws.harness import assert_same_bits, saved_arrays
from tests.strains import batch_norm, toy_texts

NOTHING = {"path": "", "rename": (), "drop": (), "fresh": (), "resize": ()}
MODEL = dict(name="transformer", width=8, num_heads=2, num_layers=2, mlp_ratio=2)
TRAINS_LORA = dict(name="adam", lr=0.01, train=("lora/.*", "head/.*"))


def config(data=None, **changes):
    base = dict(
        duration="4 steps",
        log_every="2 steps",
        data=data or toy_texts.data(),
        model=MODEL,
        task=dict(name="classify"),
        optimizer=dict(name="adam", lr=0.01),
        mesh=dict(data=2, fsdp=2, tensor=2),
    )
    return {**base, **changes}


@pytest.fixture(scope="module", autouse=True)
def no_reports():
    """Pictures take longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "_report", lambda run: None)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory, data_dir):
    """A run of four steps, with an average."""
    workdir = tmp_path_factory.mktemp("runs") / "source"
    train(config(ema=0.9), str(workdir), data_dir=data_dir)
    return workdir


@pytest.fixture(scope="module")
def plain(tmp_path_factory, data_dir):
    """The same without an average."""
    workdir = tmp_path_factory.mktemp("runs") / "plain"
    train(config(), str(workdir), data_dir=data_dir)
    return workdir


def arrays(workdir, collection="params", step=4):
    found = saved_arrays(workdir, step)
    start = f"['variables']['{collection}']"
    names = {k: k.removeprefix(start).strip("[]'").replace("']['", "/") for k in found}
    return {name: found[k] for k, name in names.items() if k.startswith(start)}


def begin(config, data_dir):
    """(graft, state of step 0, plan) of a run."""
    config = complete(config)
    mesh = sharding.make_mesh(config["mesh"])
    with sharding.use(mesh, config["rules"]):
        config["data"], _ = resolve_data(config["data"], data_dir=data_dir)
        plan = experiment.make_plan(config, data_dir, mesh)
        origin = experiment.find_graft(plan)
        return origin, experiment.fresh_state(plan, origin), plan


def same(found, wanted):
    found = trees.flatten(found)
    assert found.keys() == wanted.keys()
    for path, x in wanted.items():
        np.testing.assert_array_equal(found[path], x, err_msg=path)


def test_a_run_grafts_onto_itself_where_its_parameters_live(plain, data_dir):
    _, state, plan = begin(config(init_from=dict(path=str(plain))), data_dir)
    same(state.params, arrays(plain))
    assert int(state.step) == 0 and not np.any(state.slots["train"]["state"][0].mu["head"]["bias"])
    for x, wanted in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(plan.abstract.params), strict=True
    ):
        assert x.sharding.is_equivalent_to(wanted.sharding, x.ndim)


def test_of_a_source_with_an_average_the_average_is_taken_and_said(source, data_dir):
    path = str(source / "checkpoints" / "4")  # a checkpoint is as good as its run
    origin, state, _ = begin(config(init_from=dict(path=path), ema=0.9), data_dir)
    same(state.params, arrays(source, "ema"))
    same(state.variables["ema"], arrays(source, "ema"))
    assert "step 4 (the average of its parameters)" in origin.describe()
    assert any((arrays(source, "ema")[k] != x).any() for k, x in arrays(source).items())


def test_it_trains_from_there_and_says_so_in_the_runs_directory(source, tmp_path, data_dir, capsys):
    changed = config(
        init_from=dict(path=str(source), fresh=("head/.*",)), ema=0.5, duration="2 steps"
    )
    train(changed, str(tmp_path / "run"), data_dir=data_dir)
    printed = capsys.readouterr().out
    assert f"Starting from {source}, step 4 (the average of its parameters)" in printed
    assert "copied   encoder/block_0..1/...  32 arrays" in printed
    assert "fresh    head/...  2 arrays" in printed and f"from {source}, step 4" in printed
    table = json.loads((tmp_path / "run" / "init_from.json").read_text())
    rows = {row["target"] or row["source"]: row["done"] for row in table["arrays"]}
    assert rows["head/bias"] == "dropped" and rows["embed/embedding"] == "copied"
    assert len(table["arrays"]) == len(arrays(source)) + 2
    about = json.loads((tmp_path / "run" / "about.json").read_text())
    assert about["init_from"] == f"{source}, step 4 (the average of its parameters)"


def test_a_fresh_head_is_that_of_a_run_from_scratch(plain, data_dir):
    _, scratch, _ = begin(config(), data_dir)
    _, state, _ = begin(config(init_from=dict(path=str(plain), fresh=("head/.*",))), data_dir)
    rest = {k: x for k, x in arrays(plain).items() if not k.startswith("head/")}
    same(state.params, rest | {f"head/{k}": x for k, x in scratch.params["head"].items()})


def test_nothing_is_read_or_made_before_the_mapping_is_right(
    plain, tmp_path, data_dir, monkeypatch
):
    def never(*args, **kwargs):
        raise AssertionError("memory is taken before the check")

    monkeypatch.setattr(checkpoint, "restore_part", never)
    monkeypatch.setattr(experiment, "fresh_state", never)
    other = {**config(init_from=dict(path=str(plain))), "model": {**MODEL, "num_layers": 3}}
    before = {id(x) for x in jax.live_arrays()}
    with pytest.raises(UserError, match=r"nothing in the source \(16\):\n  encoder/block_2/"):
        train(other, str(tmp_path / "run"), data_dir=data_dir)
    assert sum(x.size for x in jax.live_arrays() if id(x) not in before) < 10
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_a_resumed_run_needs_no_source(plain, tmp_path, data_dir, monkeypatch):
    from bigmodel_jax import preemption

    copy = tmp_path / "copy"
    shutil.copytree(plain, copy)
    started = config(init_from=dict(path=str(copy)))
    train(started, str(tmp_path / "straight"), data_dir=data_dir)
    monkeypatch.setattr(preemption.Preemption, "requested", lambda self, step: step == 2)
    train(started, str(tmp_path / "stopped"), data_dir=data_dir)
    monkeypatch.undo()
    shutil.rmtree(copy)
    train(started, str(tmp_path / "stopped"), data_dir=data_dir)
    assert_same_bits(saved_arrays(tmp_path / "stopped", 4), saved_arrays(tmp_path / "straight", 4))
    about = json.loads((tmp_path / "stopped" / "about.json").read_text())
    assert about["init_from"] == f"{copy}, step 4"
    with pytest.raises(UserError, match="init_from.path"):
        train(config(), str(tmp_path / "stopped"), data_dir=data_dir)
    with pytest.raises(UserError, match=f"{copy} is not there"):
        train(started, str(tmp_path / "another"), data_dir=data_dir)


def test_a_run_of_a_version_without_init_from_goes_on(tmp_path):
    old = complete(config())
    del old["init_from"]
    (tmp_path / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps(old))
    run = RunDir(tmp_path)
    run.check(complete(config()), allow_changes=False)
    with pytest.raises(UserError, match='init_from.path: "" -> "elsewhere"'):
        run.check(complete(config(init_from=dict(path="elsewhere"))), allow_changes=False)


def test_a_damaged_source_is_refused(plain, tmp_path, data_dir):
    shutil.copytree(plain, tmp_path / "copy")
    folder = tmp_path / "copy" / "checkpoints" / "4"
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    with pytest.raises(UserError, match=f"config.init_from.path.*damaged.*{largest.name}"):
        begin(config(init_from=dict(path=str(tmp_path / "copy"))), data_dir)


def test_parameters_are_cast_to_what_the_model_keeps(plain, data_dir):
    half = {
        **config(init_from=dict(path=str(plain))),
        "model": {**MODEL, "param_dtype": "bfloat16"},
    }
    origin, state, _ = begin(half, data_dir)
    same(state.params, {k: x.astype(jnp.bfloat16) for k, x in arrays(plain).items()})
    assert "copied, cast from float32" in origin.describe()


def test_batch_statistics_are_taken_too(tmp_path, data_dir):
    train(batch_norm.config(), str(tmp_path / "source"))
    source = tmp_path / "source"
    _, state, _ = begin(batch_norm.config(init_from=dict(path=str(source))), data_dir)
    statistics = arrays(source, "batch_stats", 12)
    same(state.variables["batch_stats"], statistics)
    assert np.abs(statistics["norm/mean"]).max() > 0
    with pytest.raises(
        UserError, match=r"no place in this model.*\n(.*\n)*  batch_stats/norm/mean"
    ):
        changed = batch_norm.config(init_from=dict(path=str(source)))
        begin({**changed, "model": {**changed["model"], "norm": False}}, data_dir)


def test_another_tokenizer_is_refused_unless_the_embeddings_start_anew(plain, data_dir):
    other = toy_texts.data(tokenizer=dict(name="words", vocabulary_size=8))
    start = dict(path=str(plain), fresh=("embed/.*",))
    _, state, _ = begin(config(other, init_from=start), data_dir)
    assert state.params["embed"]["embedding"].shape != arrays(plain)["embed/embedding"].shape
    cased = toy_texts.data(tokenizer=dict(name="words", vocabulary_size=20, lowercase=False))
    with pytest.raises(UserError, match="tokenizer that is not the model's.*config.json, or start"):
        begin(config(cased, init_from=dict(path=str(plain))), data_dir)


def test_a_vocabulary_grows_where_the_old_words_keep_their_ids(tmp_path, data_dir):
    small = toy_texts.data(tokenizer=dict(name="words", vocabulary_size=8))
    train(config(small), str(tmp_path / "small"), data_dir=data_dir)
    start = dict(path=str(tmp_path / "small"), resize=("embed/.*",))
    _, scratch, _ = begin(config(), data_dir)
    _, state, _ = begin(config(init_from=start), data_dir)
    table = np.asarray(state.params["embed"]["embedding"])
    np.testing.assert_array_equal(table[:8], arrays(tmp_path / "small")["embed/embedding"])
    np.testing.assert_array_equal(table[8:], scratch.params["embed"]["embedding"][8:])
    assert len(table) == 10
    tokenizer = tmp_path / "small" / "assets" / "tokenizer.json"
    content = json.loads(tokenizer.read_text())
    content["words"].reverse()
    tokenizer.write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not grow, it changes: id 4 is '.*' for the source's"):
        begin(config(init_from=start), data_dir)


def test_what_a_task_counts_is_counted_anew(plain, data_dir):
    task = dict(name="classify", class_weights="balanced")
    origin, state, _ = begin(config(task=task, init_from=dict(path=str(plain))), data_dir)
    _, scratch, _ = begin(config(task=task), data_dir)
    weights = state.variables["class_weights"]
    np.testing.assert_array_equal(weights, scratch.variables["class_weights"])
    same(state.params, arrays(plain))
    assert len(set(np.asarray(weights))) > 1 and "fresh   class_weights" in origin.describe()


def test_lora_starts_at_the_source_and_its_own_part_fresh(plain, data_dir):
    task = dict(name="lora", task=dict(name="classify"), rank=2)
    start = dict(path=str(plain))
    _, state, _ = begin(config(task=task, optimizer=TRAINS_LORA, init_from=start), data_dir)
    lora = state.params["lora"]
    same({k: v for k, v in state.params.items() if k != "lora"}, arrays(plain))
    flat = trees.flatten(lora)
    assert all(np.any(x) == path.endswith("/a") for path, x in flat.items()) and len(flat) == 8


@pytest.mark.parametrize(
    "init_from, complaint",
    [
        (dict(path="nowhere"), "names a run or a checkpoint, but .*nowhere is not there"),
        (dict(path="{}/assets"), "holds neither config.json nor arrays/"),
        (dict(path="{}", freh=()), "config.init_from has no key 'freh'. Did you mean 'fresh'"),
    ],
)
def test_a_source_that_is_none_is_named(plain, data_dir, init_from, complaint):
    start = {k: v.format(plain) if isinstance(v, str) else v for k, v in init_from.items()}
    with pytest.raises(UserError, match=complaint):
        begin(config(init_from=start), data_dir)


# What no model here has yet: scanned layers, tables of positions.


def layers(count, make):
    return {f"block_{i}": {"mlp": {"kernel": make(i)}} for i in range(count)}


def saved(folder, params):
    with Checkpointer(folder, Clock(1, 1), every="1 steps") as keeper:
        keeper.save(1, TrainState(jnp.int32(1), {"params": params}, {}), {})
    return str(folder / "1")


def loaded(path, params, mesh, **rules):
    """The parameters that a model of such shapes starts with; fresh ones are all -1."""
    everywhere = jax.sharding.NamedSharding(mesh, jax.P(None, "fsdp"))
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), params
    )
    origin = graft.find({**NOTHING, "path": path, **rules}, {"params": abstract}, object())
    assert origin is not None
    init = lambda: {"params": jax.tree.map(lambda x: jnp.full(x.shape, -1.0), params)}  # noqa: E731
    return graft.load(origin, {"params": abstract}, init)["params"]


def test_scanned_layers_are_taken_apart_and_stacked_again(tmp_path):
    mesh = sharding.make_mesh({"data": 1, "fsdp": 8})
    rng = np.random.default_rng(0)
    kernels = jnp.asarray(rng.normal(size=(11, 8, 16)), jnp.float32)
    unrolled = {"decoder": layers(11, lambda i: kernels[i])}
    scanned = {"decoder": {"blocks": {"mlp": {"kernel": kernels}}}}
    apart = loaded(saved(tmp_path / "scanned", scanned), unrolled, mesh)
    same(apart, trees.flatten(unrolled))
    again = loaded(saved(tmp_path / "unrolled", apart), scanned, mesh)
    same(again, trees.flatten(scanned))
    kernel = again["decoder"]["blocks"]["mlp"]["kernel"]
    assert kernel.sharding.is_equivalent_to(jax.NamedSharding(mesh, jax.P(None, "fsdp")), 3)


def test_positions_are_interpolated_as_numpy_does(tmp_path):
    mesh = sharding.make_mesh({"data": 1, "fsdp": 8})
    old = jnp.asarray(np.random.default_rng(0).normal(size=(5, 8)), jnp.float32)
    path = saved(tmp_path, {"positions": {"embedding": old}})
    for length in (13, 3, 1):
        new = {"positions": {"embedding": jnp.zeros((length, 8))}}
        table = loaded(path, new, mesh, resize=("positions/.*",))["positions"]["embedding"]
        places = np.linspace(0, 4, length)
        wanted = np.stack([np.interp(places, np.arange(5), column) for column in old.T], 1)
        np.testing.assert_allclose(table, wanted, atol=1e-6)
        np.testing.assert_array_equal(table[0], old[0])


def test_an_untied_heads_vocabulary_grows_on_its_own_axis(tmp_path):
    mesh = sharding.make_mesh({"data": 1, "fsdp": 8})
    old = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8)), jnp.float32)
    path = saved(tmp_path, {"head": {"kernel": old}})
    new = {"head": {"kernel": jnp.zeros((4, 16))}}
    kernel = loaded(path, new, mesh, resize=("head/kernel",))["head"]["kernel"]
    np.testing.assert_array_equal(kernel, np.pad(old, ((0, 0), (0, 8)), constant_values=-1.0))


@pytest.mark.parametrize("token", [0, 1])
@pytest.mark.parametrize("side", [3, 7])
def test_positions_of_patches_are_interpolated_as_torch_does_with_a_grid(side, token):
    torch = pytest.importorskip("torch")
    table = np.random.default_rng(0).normal(size=(25 + token, 6)).astype(np.float32)
    got = graft.interpolate_grid(table, side**2 + token)
    grid = torch.tensor(table[token:]).reshape(1, 5, 5, 6).permute(0, 3, 1, 2)
    form = {"mode": "bicubic", "antialias": True, "align_corners": False}
    want = torch.nn.functional.interpolate(grid, (side, side), **form)
    np.testing.assert_array_equal(got[:token], table[:token])
    want = want.permute(0, 2, 3, 1).reshape(-1, 6)
    np.testing.assert_allclose(got[token:], want, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="positions of patches do not become 17|do not become 16"):
        graft.interpolate_grid(table, 17 - token)
