"""An export is the run's own predict: for any rows, every platform, and without this project."""

import ast
import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import experiment, sharding
from bigmodel_jax.apply import load_run
from bigmodel_jax.config import complete
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError
from bigmodel_jax.export import export
from bigmodel_jax.exported import inputs, program
from bigmodel_jax.nn import attention
from bigmodel_jax.nn.positions import sinusoids
from bigmodel_jax.tasks import classify
from bigmodel_jax.train import train
from configs import imdb
from tests.laws.harness import CONFIGS

TEXTS = ["I really loved the plot.", "", "My brother hated the ending, but adored the music. " * 9]
SILENT = ("cifar10-mae", "mnist-gan", "mnist-vqvae", "mnist-diffusion", "cifar10-diffusion")
PREDICTING = [name for name in CONFIGS if name not in SILENT]


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    """The directory of a run that is evaluated with averaged parameters."""
    workdir = tmp_path_factory.mktemp("runs") / "averaged"
    config = imdb.get_config("transformer,tiny").to_dict()
    config.update(ema=0.9, early_stopping={}, duration="3 steps", evals={}, repeat=1)
    config["mesh"] = {"data": jax.device_count()}
    config["model"].update(dtype="float32", num_layers=1)  # bfloat16 would hide a wrong digit
    config["data"]["max_length"] = 48  # of 32 it would be the only length
    train(config, str(workdir), data_dir=data_dir)
    return workdir


@pytest.fixture(scope="module")
def exported(run):
    """(the folder of its export, what the command said)."""
    folder = run.parent / "model.export"
    return folder, export(str(run), str(folder))


def test_the_loader_alone_answers_texts_as_the_run_does(run, exported):
    folder, said = exported
    spec = importlib.util.spec_from_file_location("load", folder / "load.py")
    load = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(load)
    with load_run(run) as loaded:
        wanted = loaded.predict(TEXTS)
        batch = loaded._batch(TEXTS, len(TEXTS))
    got = load.load(folder)(batch)
    np.testing.assert_allclose(got["probabilities"], wanted, atol=1e-5)
    assert "batch 1, length 33: " in said and "batch 3, length 48: " in said


def test_the_loader_imports_jax_and_numpy_and_is_short(exported):
    source = (exported[0] / "load.py").read_text()
    nodes = [x for x in ast.walk(ast.parse(source)) if isinstance(x, ast.Import | ast.ImportFrom)]
    names = {getattr(x, "module", None) or x.names[0].name for x in nodes}
    assert names == {"json", "sys", "pathlib", "jax", "jax.export", "numpy"}
    assert len(source.splitlines()) <= 45


def test_about_says_what_goes_in_and_what_comes_out(exported):
    about = json.loads((exported[0] / "about.json").read_text())
    tokens = {"dtype": "int32", "shape": ["batch", "length"]}
    assert about["inputs"] == {"tokens": tokens, "mask": {**tokens, "dtype": "bool"}}
    assert about["outputs"]["probabilities"] == {"dtype": "float32", "shape": ["batch", 2]}
    assert about["labels"] == ["neg", "pos"] and about["run"]["step"] == 3
    assert (exported[0] / "assets" / "tokenizer.json").is_file()
    module = jax.export.deserialize(bytearray((exported[0] / "model.stablehlo").read_bytes()))
    assert list(module.platforms) == about["platforms"] == ["cpu", "cuda", "tpu"]


def test_an_export_that_says_something_else_is_not_written(run, tmp_path, monkeypatch):
    trace = program.trace

    def wrong(predict, *rest):
        def scaled(variables, batch):
            return {k: x * np.float32(1.01) for k, x in predict(variables, batch).items()}

        return trace(scaled, *rest)

    monkeypatch.setattr(program, "trace", wrong)
    with pytest.raises(
        UserError, match=r"not say what the run says: .* away at batch 1, length 33"
    ):
        export(str(run), str(tmp_path / "x"))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_says_so(run, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="is there already"):
        export(str(run), str(tmp_path))
    with pytest.raises(UserError, match=r"data are 'mine\.games', and an export knows the batches"):
        inputs.find({"data": {"name": "mine.games"}}, {})
    monkeypatch.delattr(classify.Task, "predict")
    with pytest.raises(UserError, match="'classify', which predicts nothing"):
        export(str(run), str(tmp_path / "x"))


READ = dict.fromkeys(("tokens", "other"), inputs.Input(np.dtype(np.int32), ("batch", "length")))
TABLE = {"table": jnp.arange(9.0), "unused": jnp.zeros(5)}


def test_a_length_that_the_model_must_know_is_closed_and_the_reason_given():
    def predict(variables, batch):
        halves = jnp.split(variables["table"][batch["tokens"]], 2, axis=1)
        return {"sum": (halves[0] - halves[1]).sum(1)}

    found = program.trace(predict, TABLE, READ, {"length": 64})
    assert found.why and found.axes == ["batch"] and not found.bounds
    assert found.inputs["tokens"].axes == ("batch", 64)
    assert found.parameters == ["table"] and list(found.inputs) == ["tokens"]
    tokens = np.arange(128, dtype=np.int32).reshape(2, 64) % 9
    got = found.exported.call({"table": TABLE["table"]}, {"tokens": tokens})["sum"]
    np.testing.assert_array_equal(got, tokens[:, :32].sum(1) - tokens[:, 32:].sum(1))


def test_a_model_that_must_know_how_many_rows_there_are_is_refused():
    def predict(variables, batch):
        return {"mixed": jnp.eye(len(batch["tokens"]) % 7) * batch["tokens"].sum()}

    with pytest.raises(UserError, match="cannot be traced for an unknown number of rows"):
        program.trace(predict, TABLE, READ, {"length": 64})


def test_sinusoids_of_an_open_length_are_those_of_numpy():
    (length,) = jax.export.symbolic_shape("length")
    table = jax.jit(lambda x: sinusoids(x.shape[0], 7))
    found = jax.export.export(table)(jax.ShapeDtypeStruct((length,), jnp.float32))
    np.testing.assert_allclose(found.call(jnp.zeros(3000)), sinusoids(3000, 7), atol=1e-6)


def test_no_kernel_of_one_platform_is_taken(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    shape = (2, 128, 2, 64)
    given = (shape, shape, jnp.float32, False, False, False, True, False)
    assert attention.choose(sharding.platform(), *given) == "splash"
    with sharding.portable():
        assert attention.choose(sharding.platform(), *given) == "written"


@pytest.mark.slow  # half a minute
@pytest.mark.parametrize("name", PREDICTING)
def test_every_predict_is_traced_for_all_platforms_and_any_length(name, data_dir):
    config = complete(CONFIGS[name]())
    config["data"], _ = resolve_data(config["data"], data_dir=data_dir)
    mesh = sharding.make_mesh({}, jax.devices()[:1])
    with sharding.use(mesh, config["rules"]):
        plan = experiment.make_plan(config, data_dir, mesh)
    read = inputs.find(plan.config, plan.source.peek())
    longest = inputs.longest(plan.config)
    variables = experiment.for_evaluation(plan.abstract.variables)
    found = program.trace(plan.task.predict, variables, read, longest)
    assert not found.why and found.axes[0] == "batch"
