"""Times whole training steps of our image models against PyTorch's, side by side.

    python benchmarks/image_models.py                     # all; needs the extra [parity]
    python benchmarks/image_models.py --model=resnet18

    resnet18    ResNet-18 with a stem for small images, on 32 x 32
    vit-ti4     ViT-Ti with patches of 4, on 32 x 32
    vit-ti16    ViT-Ti with patches of 16, on 224 x 224

A step is forward, backward and SGD with momentum (ViT: Adam) on a batch of 128 images, to ten classes.
How they are timed, and what the settings mean: benchmarks/contest.py. Below each table stand both
sides' parameters and losses after 5 steps, by which to see that they do the same work.
"""

import argparse
from typing import Any

import contest
import numpy as np

BATCH = 128
VIT = {"width": 192, "num_heads": 3, "num_layers": 12}
# Our config.model; the same in PyTorch; height and width; steps a turn.
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], int, int]] = {
    "resnet18": ({"name": "resnet", "stem": "cifar"}, {"width": 64}, 32, 1),
    "vit-ti4": (
        {"name": "vit", "image_size": 32, "patch_size": 4, **VIT},
        {"image_size": 32, "patch_size": 4, **VIT},
        32,
        1,
    ),
    "vit-ti16": (
        {"name": "vit", "image_size": 224, "patch_size": 16, **VIT},
        {"image_size": 224, "patch_size": 16, **VIT},
        224,
        1,
    ),
}


class Ours:
    """Our model under optax in one donated update."""

    def __init__(self, fields, images, labels, precision):
        import functools

        import flax.linen as nn
        import jax
        import jax.numpy as jnp
        import optax

        from bigmodel_jax import config

        dtype = jnp.dtype(precision)
        model = config.build("models", {**fields, "num_classes": 10, "dtype": dtype})
        plain = fields["name"] == "resnet"
        optimizer = optax.sgd(0.01, momentum=0.9) if plain else optax.adam(1e-4)

        def loss_of(params, rest, images, labels):
            given, mutable = {"params": params, **rest}, list(rest)
            logits, new = model.apply(given, images, train=True, mutable=mutable)
            values = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return values.mean(), new

        @functools.partial(jax.jit, donate_argnums=0)
        def update(state, *batch):
            params, rest, slots = state
            gradient = jax.value_and_grad(loss_of, has_aux=True)
            (loss, rest), gradients = gradient(params, rest, *batch)
            updates, slots = optimizer.update(gradients, slots)
            return (optax.apply_updates(params, updates), rest, slots), loss

        self.batch = jax.device_put((images, labels))
        made: Any = nn.unbox(jax.jit(model.init)(jax.random.key(1), images))
        params = made.pop("params")
        self.parameters = sum(x.size for x in jax.tree.leaves(params))
        self.state, self.update = (params, made, optimizer.init(params)), update

    def run(self, steps: int) -> float:
        """The loss of the last of `steps` steps."""
        for _ in range(steps):
            self.state, self.loss = self.update(self.state, *self.batch)
        return float(self.loss)


def make(model: str, contestant: str, precision: str):
    """A contestant in this process, on the same random batch as all others."""
    rng = np.random.default_rng(0)
    ours, theirs, size, _ = MODELS[model]
    images = rng.normal(size=(BATCH, size, size, 3)).astype(np.float32)
    labels = np.arange(BATCH) % 10
    if contestant == contest.OURS:
        return Ours(ours, images, labels, precision)
    from image_models_torch import Contestant

    compiled = contestant == "torch.compile"
    return Contestant(model, theirs, images, labels, precision, compiled)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    contest.main(parser, __file__, MODELS, make, lambda model: MODELS[model][3])


if __name__ == "__main__":
    main()
