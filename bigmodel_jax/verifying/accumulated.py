"""A batch in micro-batches has the gradient of the whole, up to rounding."""

from bigmodel_jax.verifying import stepping
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject, mesh: dict[str, int] | None = None) -> Finding:
    """Without dropout, which each micro-batch draws for itself."""
    config = subject.certain
    whole = subject.descent(config, mesh)
    if "batch_stats" in whole.rest:
        raise DoesNotApply("its batch statistics are those of each micro-batch, and should be")
    rows, size = (mesh or {}).get("data", 1) * (mesh or {}).get("fsdp", 1), config["data"]
    micro = [n for n in (4, 2) if size.get("batch_size", 1) % (rows * n) == 0]
    if not micro:
        raise DoesNotApply(f"a batch of {size.get('batch_size', 1)} has no equal micro-batches")
    optimizer = stepping.descending(config["optimizer"], accumulate=micro[0])
    parts = subject.descent({**config, "optimizer": optimizer}, mesh)
    what = f"a batch whole and in {micro[0]} micro-batches, without dropout"
    return stepping.compared(what, whole, parts, config)
