"""Matrix factorisation: a rating is what is usual for the user and the item, and what suits the two.

With `implicit` it is SVD++ (Koren 2008, "Factorization meets the neighborhood", eq. 15): what a user
has rated at all says something of their taste too.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.linear import Embed


class Model(nn.Module):
    """From a user and items to how far each rating is from the mean.

    Parameters: user_bias, item_bias `[number]`; users, items, and with `implicit` rated, tables of
    `rank` numbers each (Embed). User and item 0 are unknown, and add nothing.

    Attributes:
        rank: numbers that describe a user's taste, and an item.
        stddev: of the tables at the start.
    """

    num_users: int = None  # pyright: ignore - filled from the data
    num_items: int = None  # pyright: ignore
    rank: int = 20
    implicit: bool = False
    stddev: float = 0.1
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        init = nn.initializers.normal(self.stddev)
        zeros = sharding.axes(nn.initializers.zeros, "vocab")
        self.user_bias = self.param("user_bias", zeros, (self.num_users,), self.param_dtype)
        self.item_bias = self.param("item_bias", zeros, (self.num_items,), self.param_dtype)
        self.users = Embed(self.num_users, self.rank, init, **dtypes)
        self.items = Embed(self.num_items, self.rank, init, **dtypes)
        if self.implicit:
            self.rated = Embed(self.num_items, self.rank, init, **dtypes)

    def __call__(
        self, user: jax.Array, item: jax.Array, history: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """The rating less the mean, `[batch, number]` float32.

        Args:
            user: `[batch]` int32.
            item: `[batch, number]` int32, or `[1, number]`, the same for all.
            history: `[batch, length]` int32, the items that the user has rated; 0 is padding.
            train: changes nothing.
        """
        taste = jnp.where(user[:, None] > 0, self.users(user), 0)
        if self.implicit:
            real = (history > 0)[..., None]
            count = jnp.maximum(real.sum(1), 1).astype(self.dtype)
            taste += jnp.where(real, self.rated(history), 0).sum(1) * jax.lax.rsqrt(count)
        suits = (self.items(item) * taste[:, None]).astype(jnp.float32).sum(-1)
        of_item = jnp.where(item > 0, self.item_bias[item].astype(jnp.float32) + suits, 0)
        of_user = jnp.where(user > 0, self.user_bias[user].astype(jnp.float32), 0)
        return of_user[:, None] + of_item


VARIANTS = {
    "svd": {"rank": 20},
    "svdpp": {"rank": 20, "implicit": True},
    "tiny": {"rank": 4, "implicit": True},
}
