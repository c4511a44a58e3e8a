"""Several processes: how they find each other, and what only one of them does."""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from bigmodel_jax.errors import UserError


def join() -> None:
    """Joins the other processes of this run, if a launcher has started several.

    launch/local.py says so in BIGMODEL_COORDINATOR, BIGMODEL_PROCESSES and BIGMODEL_PROCESS.
    """
    if address := os.environ.get("BIGMODEL_COORDINATOR"):
        count, index = os.environ["BIGMODEL_PROCESSES"], os.environ["BIGMODEL_PROCESS"]
        jax.distributed.initialize(address, int(count), int(index))


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
