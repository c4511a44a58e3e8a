"""Stops a run whose numbers are no numbers, before they take a good checkpoint's place."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.checkpoint import all_steps
from bigmodel_jax.errors import UserError
from bigmodel_jax.trees import flatten


def check_finite(run, row: Mapping[str, Any], step: int) -> None:
    """Stops at fetched metrics that are not finite, and names the gradients that are not."""
    bad = {k for k, v in row.items() if not np.all(np.isfinite(v.total))}
    flags = [v.total for k, v in row.items() if k.endswith("nonfinite")]
    if bad or any(np.any(flag) for flag in flags):
        paths, wrong = list(flatten(run.plan.abstract.params)), set()
        for flag in flags:
            hits = np.logical_or.reduce(np.reshape(flag, (-1, len(paths))))
            wrong |= {paths[i] for i in np.flatnonzero(hits)}
        _check_data(run, range(step - run.k, step))
        within = f"step {step}" if run.k == 1 else f"steps {step - run.k + 1} to {step}"
        what = f"{', '.join(sorted(bad)) or 'a gradient'} is not finite at {within}"
        _stop(run, what, "The gradients of", wrong)


def _check_data(run, steps: range) -> None:
    """Stops with the rows of a batch that hold NaN or infinity; batches can always be made again."""
    for step in steps:
        batch = run.batch(step)
        for key in batch if isinstance(batch, Mapping) else ():
            values = np.asarray(batch[key])
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
                rows = ", ".join(map(str, np.flatnonzero(bad)[:5]))
                raise UserError(
                    f"The data are not finite: {key!r} of the batch of step {step + 1} holds NaN or "
                    f"infinity in row {rows}. {_kept(run)} Mend the data and run again."
                )


def check_state(run, state, step: int) -> None:
    """Stops before a state that is not finite would take a good checkpoint's place."""
    finite = jax.device_get(_finite(state.variables))
    wrong = {path.removeprefix("params/") for path, fine in finite.items() if not fine}
    if wrong:
        _stop(run, f"The parameters are not finite after step {step}", "", wrong)


@jax.jit
def _finite(tree):
    floats = {k: x for k, x in flatten(tree).items() if jnp.issubdtype(x.dtype, jnp.floating)}
    return {path: jnp.isfinite(x).all() for path, x in floats.items()}


def _stop(run, what, whose, paths):
    kept = _kept(run)
    named = ", ".join(sorted(paths)[:5]) + (", ..." if len(paths) > 5 else "")
    which = f" {whose} {named} are not finite.".replace("  ", " ") if paths else ""
    raise UserError(
        f"Training stopped: {what}.{which} {kept} Try a lower "
        "config.optimizer.lr or config.optimizer.clip, and look for NaN in the data."
    )


def _kept(run):
    run.keeper.wait()
    saved = max(all_steps(run.keeper.folder), default=None)
    kept = f"the checkpoint of step {saved} is intact" if saved else "none was saved before"
    return f"This state was not saved; {kept}."
