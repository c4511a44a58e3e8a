"""Actors make their own data: an agent acts with the newest parameters, and learns from what it saw.

An `Actor` stands in a config's `actor` in place of `data`. It has what a source has (`info`,
`batch_size`, `steps_per_epoch`, `examples`, `peek`) and

    collect(act, variables, step) -> Batch   act is the task's `act`, jitted
    state() -> pytree of arrays              saved with every checkpoint, replay buffers included
    restore(state)

tests/strains/policy.py has one.
"""
