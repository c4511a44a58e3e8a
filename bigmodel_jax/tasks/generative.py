"""What the tasks that paint images share: one way to ask for them."""

import abc

import jax

from bigmodel_jax.steps import Batch, Variables
from bigmodel_jax.tasks import base


class Task(base.Task, abc.ABC):
    """Images from noise: a subclass says of what shape the noise of one is, and paints.

    Attributes:
        conditional: the label says what is painted; else it says nothing but how many there are.
    """

    evaluator = "samples"
    conditional = False

    @property
    def num_classes(self) -> int:
        """Of a conditional task."""
        return self.model.num_classes

    @property
    @abc.abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Of the noise that an image is made of."""

    @abc.abstractmethod
    def paint(self, variables: Variables, noise: jax.Array, labels: jax.Array) -> jax.Array:
        """`[images, height, width, channels]` float32, 0 to 1.

        Args:
            noise: `[images, *noise_shape]`, of the standard normal distribution.
            labels: `[images]` int32.
        """

    def sample(self, variables: Variables, rng: jax.Array, labels: jax.Array) -> jax.Array:
        """As `paint`, of noise that is drawn."""
        noise = jax.random.normal(rng, (len(labels), *self.noise_shape))
        return self.paint(variables, noise, labels)


def row_keys(batch: Batch, rng: jax.Array, train: bool) -> jax.Array:
    """A key for each row, `[batch]`.

    While training it is this step's; else an example has the same in every evaluation, whatever the
    batches.
    """
    if train:
        return jax.random.split(rng, len(batch["image"]))
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(batch["index"])


def normal(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """`[batch, *shape]` of the standard normal distribution, a row of each key."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
