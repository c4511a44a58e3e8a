"""Neural collaborative filtering, "NeuMF": a product and a perceptron judge a user and an item (He et
al. 2017, eq. 12).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn.linear import Dense, Embed


class Model(nn.Module):
    """From a user and items to a number each: how much they suit, as a logit or a rating less the mean.

    Parameters: users, items, the tables of the product; mlp_users, mlp_items, those of the perceptron
    (each an Embed); hidden_0, hidden_1, ..., head (each a Dense). Of user and item 0, which are
    unknown, the embeddings are 0.

    Attributes:
        rank: numbers that the product has of each.
        hidden: sizes of the perceptron's layers; its tables have half of the first each, so that it
            narrows to the top.
        dropout: on the outputs of the hidden layers.
    """

    num_users: int = None  # pyright: ignore - filled from the data
    num_items: int = None  # pyright: ignore
    rank: int = 8
    hidden: tuple[int, ...] = (32, 16, 8)
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        width, init = self.hidden[0] // 2, nn.initializers.normal(0.05)
        self.users = Embed(self.num_users, self.rank, init, **dtypes)
        self.items = Embed(self.num_items, self.rank, init, **dtypes)
        self.mlp_users = Embed(self.num_users, width, init, **dtypes)
        self.mlp_items = Embed(self.num_items, width, init, **dtypes)
        self.layers = [
            Dense(size, axes=("embed", "mlp"), name=f"hidden_{i}", **dtypes)
            for i, size in enumerate(self.hidden)
        ]
        self.drop = nn.Dropout(self.dropout)
        self.head = Dense(1, axes=("embed", None), out_dtype=jnp.float32, **dtypes)

    def __call__(
        self, user: jax.Array, item: jax.Array, history: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """`[batch, number]` float32.

        Args:
            user: `[batch]` int32.
            item: `[batch, number]` int32, or `[1, number]`, the same for all.
            history: is not looked at.
        """
        del history
        user = jnp.broadcast_to(user[:, None], (len(user), item.shape[1]))
        item = jnp.broadcast_to(item, user.shape)
        product = _known(self.users, user) * _known(self.items, item)
        x = jnp.concatenate([_known(self.mlp_users, user), _known(self.mlp_items, item)], -1)
        for layer in self.layers:
            x = self.drop(nn.relu(layer(x)), deterministic=not train)
        return self.head(jnp.concatenate([product, x], -1))[..., 0]


def _known(table: Embed, ids: jax.Array) -> jax.Array:
    """The rows of a table, 0 for the id 0."""
    return jnp.where((ids > 0)[..., None], table(ids), 0)


VARIANTS = {
    "neumf-8": {"rank": 8, "hidden": (32, 16, 8)},
    "neumf-64": {"rank": 64, "hidden": (256, 128, 64)},
    "tiny": {"rank": 4, "hidden": (8, 4)},
}
