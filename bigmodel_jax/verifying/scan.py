"""One block scanned over its layers is the layers one after another."""

from bigmodel_jax.errors import UserError
from bigmodel_jax.layers import stack_layers, unstack_layers
from bigmodel_jax.verifying import stepping
from bigmodel_jax.verifying.finding import DoesNotApply, Finding
from bigmodel_jax.verifying.subject import Subject


def check(subject: Subject) -> Finding:
    """From the same parameters, without dropout, which a scan draws otherwise."""
    if not subject.can_have("scan"):
        raise DoesNotApply(f"the model {subject.config['model']['name']!r} has no option scan")
    config = subject.certain
    optimizer = {k: v for k, v in config["optimizer"].items() if k in ("name", "lr")}

    def laid_out(scan):  # all is trained: patterns of some layers have other names in a scan
        return {**config, "model": {**config["model"], "scan": scan}, "optimizer": optimizer}

    rolled = subject.descent(laid_out(False))
    stacked = {kind: stack_layers(tree) for kind, tree in rolled.before.items()}
    try:
        scanned = stepping.descent(laid_out(True), subject.data_dir, variables=stacked)
    except UserError as error:
        raise DoesNotApply(f"its layers are not alike: {error}") from error
    scanned = scanned._replace(
        gradient=unstack_layers(scanned.gradient),
        rest={kind: unstack_layers(tree) for kind, tree in scanned.rest.items()},
    )
    return stepping.compared(
        "layers unrolled and scanned, without dropout", rolled, scanned, config
    )
