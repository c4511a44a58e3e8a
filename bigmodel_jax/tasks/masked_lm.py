"""Masked language modelling (Devlin et al. 2019): hidden tokens are guessed from both sides."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Variables
from bigmodel_jax.tasks import base


class Task(base.Task):
    """For encoders with a head over the vocabulary.

    A batch has "tokens" [batch, length] int32, "segments" and "positions" as for next_token,
    "index" [batch] int32, the number of a row in its split, and for whole words "words" [batch,
    length] int32, which word of its row a token is of. Of the tokens a share `rate` is chosen, each
    with the same chance, drawn anew at each step; 80 % of these become the mask, 10 % a random token,
    10 % stay (section 3.1 there). Evaluation draws by the row's index, the same every time.

    The vocabulary's logits are computed at chosen positions only, of which a row has room for 1.25
    times the expected number and 8 more; what has no room is not chosen after all.

    Args:
        mask_id: the token that hides another; None takes the data's.
        special_ids: tokens that are neither chosen nor put in place of others; None takes the data's.
        rate: the share that is chosen.
        whole_words: choose words with all of their tokens.
    """

    evaluator, applied = "language", "masks"

    def __init__(
        self,
        model: Any,
        mask_id: int | None = None,
        special_ids: tuple[int, ...] | None = None,
        rate: float = 0.15,
        whole_words: bool = False,
    ):
        super().__init__(model)
        if mask_id is None:
            raise UserError(
                "config.task.mask_id is not set, and the data's tokenizer has no mask: name the id "
                "that shall hide a token."
            )
        if not 0 < rate < 1:
            raise UserError(f"config.task.rate is {rate}: a share of the tokens, between 0 and 1.")
        self.mask_id, self.special_ids = mask_id, special_ids or ()
        self.rate, self.whole_words = rate, whole_words

    def inputs(self, batch):
        return batch["tokens"], batch["segments"]

    def loss(self, variables, batch, rng, *, train):
        keys, dropout_key = self._keys(batch, rng, train)
        tokens, places, chosen = jax.vmap(self.hide)(keys, batch["tokens"], self._words(batch))
        seen = {**batch, "tokens": tokens}
        logits, updates = self._logits(variables, seen, places, dropout_key, train=train)
        targets = jnp.take_along_axis(batch["tokens"], places, 1)
        nats = losses.softmax_cross_entropy(logits, targets)
        accuracy = mean(logits.argmax(-1) == targets, chosen)
        return mean(nats, chosen), Aux({"accuracy": accuracy}, updates)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"probabilities": [batch, places, vocabulary] float32} of what the tokens hide.

        Args:
            batch: has "places" [batch, places] int32 too, of the tokens in question; nothing is
                hidden that is not hidden already.
        """
        logits, _ = self._logits(variables, batch, batch["places"], None, train=False)
        return {"probabilities": jax.nn.softmax(logits)}

    def _logits(self, variables, batch, places, rng, *, train):
        """(logits at some places of each row, new untrained variables)."""
        options = {"method": "hidden", "positions": batch["positions"]}
        hidden, updates = self.apply(variables, batch, rng, train=train, **options)
        hidden = jnp.take_along_axis(hidden, places[..., None], 1)
        logits = self.model.apply({"params": variables["params"]}, hidden, method="logits")
        return logits, updates

    def hide(
        self, key: jax.Array, tokens: jax.Array, words: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Chooses tokens of one row and hides most of them.

        Args:
            tokens: [length] int32.
            words: [length] int32; tokens of one number are chosen together, those of -1 never.

        Returns:
            (tokens as the model shall see them [length], places of the chosen ones [room] int32,
            bool [room]: the place is one).
        """
        length = tokens.shape[0]
        room = min(length, int(1.25 * self.rate * length) + 8)
        choose, replace, draw = jax.random.split(key, 3)
        luck = jax.random.uniform(choose, (length,))[jnp.maximum(words, 0)]
        luck = jnp.where(words >= 0, luck, 1.0)
        lowest, places = jax.lax.top_k(-luck, min(room + 1, length))
        # Where there is no room for all of a word, none of it is chosen.
        limit = jnp.minimum(self.rate, -lowest[-1]) if room < length else self.rate
        places = places[:room]
        chosen = luck[places] < limit
        how = jax.random.uniform(replace, (room,))
        old = tokens[places]
        new = jnp.where(
            how < 0.8, self.mask_id, jnp.where(how < 0.9, self._random(draw, room), old)
        )
        return tokens.at[places].set(jnp.where(chosen, new, old)), places, chosen

    def _random(self, key, count):
        """Ids [count] of any tokens but special ones."""
        special = [*self.special_ids, self.mask_id]
        usual = np.setdiff1d(np.arange(self.model.vocabulary_size, dtype=np.int32), special)
        return jnp.asarray(usual)[jax.random.randint(key, (count,), 0, len(usual))]

    def _words(self, batch: Batch) -> jax.Array:
        """What is chosen together, [batch, length] int32: words or single tokens; -1 is left alone."""
        tokens = batch["tokens"]
        alone = jnp.arange(tokens.shape[1], dtype=jnp.int32)
        words = batch["words"] if self.whole_words else jnp.broadcast_to(alone, tokens.shape)
        left = batch["segments"] == 0
        for i in (*self.special_ids, self.mask_id):
            left |= tokens == i
        return jnp.where(left, -1, words)

    def _keys(self, batch, rng, train):
        """(a key for each row, the key of dropout)."""
        if train:
            masking, dropout = jax.random.split(rng)
            return jax.random.split(masking, len(batch["tokens"])), dropout
        return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(batch["index"]), None
