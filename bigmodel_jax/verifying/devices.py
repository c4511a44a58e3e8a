"""One device and a mesh of several take the same step, up to rounding."""

import jax

from bigmodel_jax.errors import UserError
from bigmodel_jax.verifying import stepping
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject, mesh: dict[str, int] | None = None) -> Finding:
    """On `mesh`, or on one of all devices that splits as many axes as the config's sizes let it."""
    count = len(jax.devices())
    if count == 1:
        raise DoesNotApply("there is one device; pretend more with XLA_FLAGS")
    shapes = [{"data": count // 4, "fsdp": 2, "tensor": 2}, {"data": count // 2, "fsdp": 2}]
    shapes = [mesh] if mesh else [*shapes[count % 4 > 0 :], {"data": count}]
    one = subject.descent(subject.descending)
    for shape in shapes:
        try:
            many = subject.descent(subject.descending, shape)
        except UserError as error:  # sizes that do not divide over this mesh
            refused = error
            continue
        words = " x ".join(f"{k} {v}" for k, v in shape.items() if v > 1)
        what = f"1 device and {count} {jax.devices()[0].platform} devices, {words}"
        return stepping.compared(what, one, many, subject.config)
    raise DoesNotApply(f"no mesh of {count} devices fits: {refused}")
