"""What the backward pass computes anew is what it would have kept."""

from bigmodel_jax.verifying import stepping
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject) -> Finding:
    """With dropout, whose draws must be the same again."""
    if not subject.can_have("remat"):
        raise DoesNotApply(f"the model {subject.config['model']['name']!r} has no option remat")
    model = subject.config["model"]
    kept, anew = (
        subject.descent({**subject.descending, "model": {**model, "remat": remat}})
        for remat in ("none", "full")
    )
    return stepping.compared("remat='none' and 'full'", kept, anew, subject.config)
