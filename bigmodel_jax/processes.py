"""Several processes: how they find each other, and what only one of them does."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax._src import clusters
from jax.experimental import multihost_utils

from bigmodel_jax import config, environment, rollcall
from bigmodel_jax.errors import UserError

START_TIMEOUT = 300  # seconds until all processes have come: pods of a cluster start one by one
# Seconds until a machine that says nothing is taken for dead. JAX's own default, 100, keeps the
# others waiting in a collective for a minute and a half.
HEARTBEAT = 40


@contextmanager
def joined(statement: Mapping[str, Any]) -> Iterator[None]:
    """Joins the other processes of this run, if a launcher has started several.

    launch/ says so in BIGMODEL_COORDINATOR ("host:port"), BIGMODEL_PROCESSES and BIGMODEL_PROCESS;
    else JAX looks for SLURM, Open MPI, a TPU pod or an indexed job of Kubernetes. Inside, the end
    of any process ends all. BIGMODEL_START_TIMEOUT and BIGMODEL_HEARTBEAT change the seconds.

    Args:
        statement: what must be the same on all, besides Python, packages and this package's code.

    Raises:
        UserError: a process is missing or runs something else; every process ends.
    """
    timeout = _seconds("START_TIMEOUT", START_TIMEOUT)
    heartbeat = _seconds("HEARTBEAT", HEARTBEAT)
    own = "BIGMODEL_COORDINATOR" in os.environ
    found = _told() if own else _detected(timeout)
    if found is None or found[1] == 1:
        yield
        return
    address, count, index = found
    everything = {**config.plain(statement), **environment.stated()}
    line = rollcall.call(address, count, index, json.loads(json.dumps(everything)), timeout)
    failed = True
    try:
        jax.distributed.initialize(
            address,
            count,
            index,
            # Of itself JAX gives a task of SLURM one GPU. With our own variables a process has all
            # devices of its machine, whatever started it.
            cluster_detection_method="deactivate" if own else None,
            initialization_timeout=timeout,
            heartbeat_timeout_seconds=heartbeat,
        )
        yield
        failed = False
    except Exception as error:
        if not isinstance(error, UserError):
            # A collective fails where another process has ended: then the line says so, and ends this
            # one, before a traceback hides it.
            time.sleep(rollcall.GRACE)
        raise
    finally:
        line.close(failed)


def on_first(action: Callable[[], Any]) -> Any:
    """`action()` on process 0, None on the others; where it fails, every process ends.

    Otherwise the others would wait for process 0 in the next collective, until its time-out.

    Raises:
        UserError: process 0's own there, and one that points to it elsewhere.
    """
    result, failure = None, None
    if jax.process_index() == 0:
        try:
            result = action()
        except UserError as error:
            failure = error
    if jax.process_count() > 1:
        failed = multihost_utils.broadcast_one_to_all(np.int32(failure is not None))
        if failed and failure is None:
            failure = UserError("Process 0 stopped; it says why.")
    if failure is not None:
        raise failure
    return result


def agree(resolved: Mapping) -> None:
    """Compares a resolved config, which holds what each process found in its data, on all of them.

    Raises:
        UserError: on every process, with what differs.
    """
    if jax.process_count() == 1:
        return
    text = np.frombuffer(json.dumps(config.plain(resolved), sort_keys=True).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(text.size))
    padded = np.pad(text, (0, int(sizes.max()) - text.size), constant_values=ord(" "))
    first, *others = (
        json.loads(row.tobytes()) for row in multihost_utils.process_allgather(padded)
    )
    for index, other in enumerate(others, 1):
        if changes := config.differences(first, other):
            raise UserError(
                f"Process {index} finds other data or settings than process 0, process 0 -> {index}: "
                f"{'; '.join(changes[:5])}."
            )


def _seconds(name: str, default: int) -> int:
    value = os.environ.get(f"BIGMODEL_{name}", "") or default
    try:
        return int(value)
    except ValueError:
        raise UserError(f"BIGMODEL_{name} is a number of seconds, not {value!r}.") from None


def _told() -> tuple[str, int, int]:
    """What a launcher of ours says."""
    try:
        return (
            os.environ["BIGMODEL_COORDINATOR"],
            int(os.environ["BIGMODEL_PROCESSES"]),
            int(os.environ["BIGMODEL_PROCESS"]),
        )
    except (KeyError, ValueError) as error:
        raise UserError(
            "BIGMODEL_COORDINATOR (host:port) needs BIGMODEL_PROCESSES and BIGMODEL_PROCESS beside "
            f"it, two whole numbers: {error}."
        ) from error


def _detected(timeout: int) -> tuple[str, int, int] | None:
    """What JAX's own cluster detection says: the roll call comes before `initialize` asks it."""
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    if in_pod and not {"JOB_COMPLETION_INDEX", "TPU_WORKER_ID"} & os.environ.keys():
        return None  # a notebook, say: JAX would ask the cluster about a job that is not there
    address, count, index, _ = clusters.ClusterEnv.auto_detect_unset_distributed_params(
        None, None, None, None, None, timeout
    )
    if address is None or count is None or index is None:
        return None
    return address, count, index
