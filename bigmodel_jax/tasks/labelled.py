"""What the tasks with one target for each text or image share: what the model reads, its logits."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.errors import UserError
from bigmodel_jax.steps import Batch, Variables
from bigmodel_jax.tasks import base

# The task for each target of data.
FITTING = {
    "class": "classify",
    "labels": "multilabel",
    "number": "regress",
    "tags": "tag",
    "spans": "span_answering",
    "choice": "multiple_choice",
    "nothing": "mae",
}


class Task(base.Task):
    """For models from "tokens" and "mask", or from "image", to logits [batch, classes].

    Args:
        mean, std: of each channel of images, 0 to 1, by which the model's input is brought to a mean
            of 0 and a deviation of 1; filled in from the data.
    """

    target = "class"  # what a label is: a class, any number of "labels", or a "number"
    evaluator = "classification"  # the one in evals/ for such labels
    applied = "labelled"  # the one in applied/

    def __init__(
        self,
        model: Any,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        super().__init__(model)
        self.mean, self.std = mean, std

    def inputs(self, batch):
        if "image" in batch:
            return (normalised(batch["image"], self.mean, self.std),)
        return batch["tokens"], batch["mask"]

    def check(self, source) -> None:
        """Raises a UserError for a source whose labels mean something else, or weighed twice."""
        if (given := getattr(source, "target", self.target)) != self.target:
            raise UserError(
                f"The data's target is {given!r}, but config.task is for {self.target!r}: take "
                f"dict(name={FITTING.get(given)!r}), or another config.data.target."
            )
        if getattr(source, "balance", False) and getattr(self, "class_weights", None) == "balanced":
            raise UserError(
                "config.data.balance and config.task.class_weights='balanced' both make rare classes "
                "count for more, together twice as much as meant: leave out one of the two."
            )

    def apply(self, variables, batch, rng, *, train, **options):
        """As of base.Task; of a pair the model sees which text a token is of, where it knows types.

        Rows of padding do not count in the statistics of a batch of images.
        """
        if train and "image" in batch and "batch_stats" in variables:
            options["mask"] = batch["valid"]
        if "types" in batch and getattr(self.model, "num_types", 0) > 1:
            options["types"] = batch["types"]
        return super().apply(variables, batch, rng, train=train, **options)

    def logits(
        self, variables: Variables, batch: Batch, presence: jax.Array | None = None
    ) -> jax.Array:
        """What the model answers when it does not train, [batch, classes] float32.

        Args:
            presence: [batch, length] float32, by which each token's embedding is multiplied; of images
                [batch, height, width], the model's input.
        """
        options = {}
        if presence is not None and "image" in batch:
            batch = {**batch, "image": faded(batch["image"], presence, self.mean)}
        elif presence is not None:
            options = {"presence": presence}
        logits, _ = self.apply(variables, batch, None, train=False, **options)
        return logits.astype(jnp.float32)

    def features(self, variables: Variables, batch: Batch) -> jax.Array:
        """What the model's classifier sees when it does not train, [batch, width] float32."""
        found, _ = self.apply(variables, batch, None, train=False, method="features")
        return found.astype(jnp.float32)


def normalised(
    image: jax.Array, mean: Sequence[float] | None, std: Sequence[float] | None
) -> jax.Array:
    """Pixels of 0 to 255, `[batch, height, width, channels]`, as a model's float32 input.

    Args:
        mean, std: of each channel, on a scale of 0 to 1; None leaves 0 to 1.
    """
    pixels = image.astype(jnp.float32) / 255
    if mean is None or std is None:
        return pixels
    return (pixels - jnp.asarray(mean, jnp.float32)) / jnp.asarray(std, jnp.float32)


def faded(image: jax.Array, presence: jax.Array, mean: Sequence[float] | None) -> jax.Array:
    """Images of which `normalised` makes `presence` times what it made of them; float32.

    At 0 a pixel has the mean colour, or is black where there is none.

    Args:
        image: pixels of 0 to 255, `[batch, height, width, channels]`.
        presence: `[batch, height, width]`.
        mean: as of `normalised`.
    """
    ground = 255 * jnp.asarray(0.0 if mean is None else mean, jnp.float32)
    return ground + presence[..., None] * (image.astype(jnp.float32) - ground)
