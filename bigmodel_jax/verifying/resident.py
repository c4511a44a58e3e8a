"""Data that lie on the device make the same batches as data that stream to it, to the bit."""

from bigmodel_jax.config import fields
from bigmodel_jax.errors import UserError
from bigmodel_jax.verifying import comparing
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject) -> Finding:
    """A whole run each way."""
    data = subject.config["data"]
    if subject.config["actor"] or "resident" not in fields("data", data["name"]):
        raise DoesNotApply(f"the source {data['name']!r} always streams")
    straight, _ = subject.straight
    other = not data.get("resident", False)
    config = {**subject.short, "data": {**data, "resident": other}}
    try:
        turned, _ = subject.train("resident" if other else "streaming", config)
    except UserError as error:
        if not other:
            raise
        raise DoesNotApply(str(error).removesuffix(".")) from error
    difference, where, what = comparing.runs(turned, straight, subject.total)
    return Finding(f"{what}, resident and streaming", difference, 0.0, where)
