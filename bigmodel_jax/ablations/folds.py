"""k-fold cross-validation: each trial learns from all folds of the training part but one, its val."""

from collections.abc import Mapping

from bigmodel_jax.ablations import results
from bigmodel_jax.data.splits import split_name
from bigmodel_jax.errors import UserError


def config(given: Mapping, fold: int, count: int) -> dict:
    """A completed config whose train and val are those of a fold, 1 to `count`.

    The folds are parts of the whole split that config.data.splits.train is of, mixed by the seed: the
    same for every variant. Evaluators of a test split are left out, which would be read `count` times.

    Raises:
        UserError: nothing is evaluated on val, or train is no split of the data's own.
    """
    splits = given["data"].get("splits") or {}
    evals = {
        name: spec
        for name, spec in given["evals"].items()
        if not results.of_test(f"{name}/", given)
    }
    if "train" not in splits or not any(spec.get("split") == "val" for spec in evals.values()):
        raise UserError(
            "--folds makes of config.data.splits.train a val part for each fold, and no evaluator of the "
            "config looks at the split 'val': add config.evals.val=dict(name=..., split='val')."
        )
    name = split_name(splits["train"])
    part = f"fold {fold}/{count} seed {given['seed']}"
    used = {spec["split"] for spec in evals.values() if "split" in spec}
    own = {k: v for k, v in splits.items() if k in used}
    own |= {"train": f"{name}[not {part}]", "val": f"{name}[{part}]"}
    return {**given, "evals": evals, "data": {**given["data"], "splits": own}}
