"""A config as the program that its devices would run: compiled for them, here, without them."""

import os
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import topologies

from bigmodel_jax import experiment, sharding, steps, trees
from bigmodel_jax.config import component, fields
from bigmodel_jax.data.batch_transforms import augmentation
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError
from bigmodel_jax.planning import collectives, flops
from bigmodel_jax.planning.hardware import Topology


class Memory(NamedTuple):
    """Bytes of one device.

    Attributes:
        parameters: with averages and statistics.
        moments: all that the optimizer keeps.
        gradients: of the parameters that are trained, in their dtype.
        batch: the input.
        temporary: what XLA's compile says it needs besides while a step runs, gradients included.
    """

    parameters: int
    moments: int
    gradients: int
    batch: int
    temporary: int

    @property
    def peak(self) -> int:
        return self.parameters + self.moments + self.batch + self.temporary


class Program(NamedTuple):
    """What is known of a step.

    Attributes:
        parts: the work by part of the model, of all devices together; see flops.count.
        model_flops: the same without what remat computes again and stages do while they have no
            micro-batch: what MFU is counted by.
        xla_flops: of one device, as XLA counts them (it may count a loop's body once).
        weight_bytes: of all trained parameters in the dtype that they are computed in.
        described: why the batch is made up from config.data, if the data are not here.
    """

    parameters: int
    examples: int
    tokens: int
    mesh: dict[str, int]
    memory: Memory
    parts: dict[str, flops.Work]
    model_flops: float
    xla_flops: float
    weight_bytes: float
    sent: list[collectives.Collective]
    seconds: float
    described: str


class Described:
    """A source of shapes alone, as config.data describes them: to plan where the data are not.

    An "epoch" is 1,000 steps; what only data know, such as the number of classes, the config says.
    """

    steps_per_epoch = 1000

    def __init__(self, data: Mapping):
        kind: Any = component("data", data["name"])
        self.batch_size = data["batch_size"]
        self.examples = self.batch_size * self.steps_per_epoch
        self._example = kind.example(data, self.batch_size)
        self.info = dict(getattr(kind, "described", lambda data: {})(data))
        if "batch_transforms" in data:
            self.augment = augmentation(data["batch_transforms"])

    def peek(self) -> dict[str, np.ndarray]:
        return self._example


def devices_of(topology: Topology) -> list[Any]:
    """The devices of a topology; those of GPUs and CPUs are pretended ones of this machine."""
    if topology.platform == "tpu":
        try:
            several = {"num_slices": topology.slices} if topology.slices > 1 else {}
            name = topology.name[topology.name.index(topology.kind) :]
            return list(topologies.get_topology_desc(name, "tpu", **several).devices)
        except Exception as error:  # whatever the plugin raises
            raise UserError(
                f"--topology={topology.name}: XLA's TPU compiler gives no such devices "
                f"({str(error).splitlines()[0]}). It comes with `pip install 'jax[tpu]'`, and its shapes are "
                "those of slices that exist, such as v5e:4x4 or v5p:4x4x4."
            ) from error
    return jax.devices("cpu")[: topology.devices]


def prepare(topology: Topology) -> None:
    """Sets what must be set before JAX is used for the first time."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    if (
        topology.platform == "tpu"
    ):  # else the plugin looks for a machine that has some, and for itself
        os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost"}
        os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-16")
    else:
        flags = os.environ.get("XLA_FLAGS", "")
        flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", flags)
        pretended = f"--xla_force_host_platform_device_count={topology.devices}"
        os.environ["XLA_FLAGS"] = f"{flags} {pretended}".strip()


def compile_step(config: dict, topology: Topology, data_dir: str) -> Program:
    """Compiles a step of `config` (completed) for the devices.

    Raises:
        UserError: what the config gets wrong, as when it is run; or the compiler found that it does not
            fit in the memory, with its words.
    """
    began = time.perf_counter()
    mesh = sharding.make_mesh(config["mesh"], devices_of(topology))
    config = {**config, "data": {k: v for k, v in config["data"].items() if k != "resident"}}
    with sharding.use(mesh, config["rules"]):
        plan, described = open_plan(config, data_dir, mesh)
        batch = _batch(plan, mesh)
        layout = jax.tree.map(lambda x: x.sharding, plan.abstract)
        jitted = jax.jit(
            steps.counted(plan.step).update, donate_argnums=0, out_shardings=(layout, None)
        )
        key = jax.eval_shape(lambda: jax.random.key(0))
        traced = jitted.trace(plan.abstract, batch, key)
        parts = flops.count(traced.jaxpr)
        model = model_flops(plan)
        try:
            compiled = traced.lower().compile()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise UserError(f"It does not fit: {_in_short(str(error))}") from error
        memory, xla = compiled.memory_analysis(), compiled.cost_analysis() or {}
        sent = collectives.read(compiled.as_text() or "", dict(mesh.shape))
    params = plan.abstract.variables["params"]
    slots = sum(_on_device(x) for x in jax.tree.leaves(plan.abstract.slots))
    trained = _trained(plan)
    temporary = memory.temp_size_in_bytes if memory else 0
    tokens = batch["tokens"].size if "tokens" in batch else 0
    return Program(
        parameters=sum(x.size for x in jax.tree.leaves(params)),
        examples=plan.source.batch_size,
        tokens=tokens,
        mesh={k: v for k, v in mesh.shape.items() if v > 1},
        memory=Memory(
            parameters=sum(_on_device(x) for x in jax.tree.leaves(plan.abstract.variables)),
            moments=slots,
            gradients=sum(_on_device(x) for x in trained),
            batch=sum(_on_device(x) for x in jax.tree.leaves(batch)),
            temporary=temporary,
        ),
        parts=parts,
        model_flops=model,
        xla_flops=float(xla.get("flops", 0.0)),
        weight_bytes=float(sum(x.size for x in trained)) * _item_size(plan.config),
        sent=sent,
        seconds=time.perf_counter() - began,
        described=described,
    )


def open_plan(config, data_dir, mesh) -> tuple[experiment.Plan, str]:
    """The run's parts, from its data, or from their description where they are not here."""
    kind: Any = component("data", config["data"]["name"])
    try:
        config = {**config, "data": resolve_data(config["data"], data_dir=data_dir)[0]}
        return experiment.make_plan(config, data_dir, mesh), ""
    except UserError as error:
        if not hasattr(kind, "example") or config["actor"]:
            raise
        why = str(error)
    source = Described(config["data"])
    for key in ("vocabulary_size", "num_classes"):
        head = config["model"].get("head", "lm")
        needed = key in fields("models", config["model"]["name"])
        needed &= key != "num_classes" or head not in ("lm", "mlm", "span")
        if needed and config["model"].get(key) is None and key not in source.info:
            raise UserError(f"{why} To plan without them, say --config.model.{key}=... .")
    return experiment.make_plan(config, data_dir, mesh, source), why


def _batch(plan, mesh):
    """Shapes of the whole batch, split as in training."""
    rows = sharding.rows(mesh)
    count = sharding.share(mesh)[1] if not isinstance(plan.source, Described) else 1

    def whole(x):
        return jax.ShapeDtypeStruct((len(x) * count, *x.shape[1:]), x.dtype, sharding=rows)

    return jax.tree.map(whole, plan.source.peek())


def model_flops(plan: experiment.Plan) -> float:
    """The flops of a whole step's products, if nothing were computed twice and no stage waited.

    Call it where the plan was made, under `sharding.use`.
    """
    if plan.config["model"].get("remat", "none") != "none":
        model = {**plan.config["model"], "remat": "none"}
        plan = experiment.make_plan({**plan.config, "model": model}, "", plan.mesh, plan.source)
    key = jax.eval_shape(lambda: jax.random.key(0))
    step = steps.counted(plan.step).update
    with sharding.use(plan.mesh, {**plan.config["rules"], "layers": None}):
        jaxpr = jax.make_jaxpr(step)(plan.abstract, _batch(plan, plan.mesh), key)
    return flops.total(flops.count(jaxpr)).flops


def _trained(plan) -> list[Any]:
    """Shapes of the parameters that get a gradient."""
    given = plan.config["optimizer"]
    players = [given] if "name" in given else list(given.values())
    owned: dict[str, Any] = {}
    for player in players:
        owns = trees.matcher(player.get("train", (".*",)), player.get("freeze", ()))
        flat = trees.flatten(plan.abstract.variables["params"])
        owned |= {path: x for path, x in flat.items() if owns(path)}
    return list(owned.values())


def _on_device(x) -> int:
    shape = x.sharding.shard_shape(x.shape) if getattr(x, "sharding", None) is not None else x.shape
    return int(np.prod(shape, dtype=np.int64)) * x.dtype.itemsize


def _item_size(config) -> int:
    return jax.numpy.dtype(config["model"].get("dtype", "float32")).itemsize


def _in_short(text: str) -> str:
    """The sentence of XLA's that says how much is too much."""
    line = next((x for x in text.splitlines() if "RESOURCE_EXHAUSTED" in x), text)
    return line.split("RESOURCE_EXHAUSTED:")[-1].strip()[:300]
