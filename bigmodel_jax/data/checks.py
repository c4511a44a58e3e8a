"""What every source checks of its options before it reads."""

from bigmodel_jax.errors import UserError


def check_batch_size(batch_size: int, processes: int) -> None:
    """Raises a UserError for batches that the processes which share them do not divide."""
    if batch_size < 1 or batch_size % processes:
        raise UserError(
            f"config.data.batch_size {batch_size} does not divide over {processes} processes."
        )


def check_fingerprint(name: str, found: str, given: str) -> None:
    """Raises a UserError where a run has written down other data than these.

    Args:
        name: of the reader.
        found: the fingerprint of what is here.
        given: config.data.fingerprint; "" for a run that begins.
    """
    if given not in ("", found):
        raise UserError(
            f"{name} here is not the data that config.data.fingerprint names: {found[:12]}... instead "
            f"of {given[:12]}.... Has a file changed, or is --data_dir another one?"
        )
