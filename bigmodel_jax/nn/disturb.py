"""What happens to a text's embeddings between the table and the network."""

import flax.linen as nn
import jax

from bigmodel_jax import sharding


def disturb(
    x: jax.Array,
    presence: jax.Array | None,
    *,
    word_dropout: float,
    embed_dropout: float,
    train: bool,
) -> jax.Array:
    """Embeddings `[batch, length, dim]` as the network sees them; called within a module.

    Args:
        presence: `[batch, length]` float32, a factor of each token's embedding, for explanations.
        word_dropout: the rate at which whole words are dropped in training.
        embed_dropout: that of dimensions, the same ones at all positions of a text (Gal and
            Ghahramani 2016).
    """
    if presence is not None:
        x *= presence[..., None].astype(x.dtype)
    x = nn.Dropout(word_dropout, broadcast_dims=(2,), deterministic=not train)(x)
    x = nn.Dropout(embed_dropout, broadcast_dims=(1,), deterministic=not train)(x)
    return sharding.shard(x, "batch", "length", "embed")
