"""What is done to an image on the host while training: one kind a file.

    class Transform:
        def __init__(self, <options of the config>)
        def __call__(self, image: PIL.Image.Image, rng: np.random.Generator) -> PIL.Image.Image

They are pure functions of (image, rng); rng is a function of (seed, step, row), so that any number of
hosts and worker processes makes the same pixels. What changes a whole batch at once, or shall run on
the device, is in data/batch_transforms.
"""
