"""What is done to a whole batch on the device, inside the jitted step, while training: one kind a file.

    class Transform:
        def __init__(self, <options of the config>)
        def __call__(self, batch: dict[str, jax.Array], rng: jax.Array) -> dict[str, jax.Array]

Randomness comes from (seed, step) and is drawn for the whole batch, so that it is the same on any
number of hosts, and whether the data are resident or streamed.
"""
