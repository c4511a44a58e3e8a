"""Masked language modelling: what is hidden, how often, and what the loss counts."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.losses import softmax_cross_entropy
from bigmodel_jax.tasks.masked_lm import Task

VOCABULARY, MASK, PADDING = 40, 3, 0
LENGTH = 64


class Toy(nn.Module):
    """Logits of each token from it alone."""

    vocabulary_size: int = VOCABULARY

    def setup(self):
        self.table = self.param("table", nn.initializers.normal(1.0), (VOCABULARY, 8))

    def __call__(self, tokens, segments, *, train=False):
        return self.logits(self.hidden(tokens, segments))

    def hidden(self, tokens, segments, *, positions=None, train=False):
        return self.table[tokens]

    def logits(self, hidden):
        return hidden @ self.table.T


def make_batch(rows=4, length=LENGTH):
    rng = np.random.default_rng(0)
    tokens = rng.integers(4, VOCABULARY, (rows, length)).astype(np.int32)
    segments = np.ones((rows, length), np.int32)
    segments[0, 40:] = 0
    tokens[0, 40:] = PADDING
    words = np.broadcast_to(np.arange(length, dtype=np.int32) // 3, tokens.shape)
    batch = {"tokens": tokens, "segments": segments, "positions": words, "words": words}
    return {**batch, "index": np.arange(rows, dtype=np.int32)}


def hide(task, batch, key):
    """(tokens as the model sees them, bool [rows, length]: chosen), of all rows."""
    keys = jax.random.split(key, len(batch["tokens"]))
    seen, places, chosen = jax.vmap(task.hide)(keys, batch["tokens"], task._words(batch))
    where = np.zeros(seen.shape, bool)
    np.put_along_axis(where, np.asarray(places), np.asarray(chosen), 1)
    return np.asarray(seen), where


def test_fifteen_percent_are_chosen_and_replaced_as_in_the_paper():
    task, batch = Task(Toy(), MASK, (0, 1, 2)), make_batch()
    masked = kept = other = chosen = real = 0
    for i in range(300):
        seen, where = hide(task, batch, jax.random.key(i))
        old = batch["tokens"]
        assert (seen[~where] == old[~where]).all() and not where[0, 40:].any()
        assert (seen[where] >= MASK).all()  # no special token but the mask
        masked += (seen[where] == MASK).sum()
        kept += (seen[where] == old[where]).sum()
        other += ((seen[where] != MASK) & (seen[where] != old[where])).sum()
        chosen, real = chosen + where.sum(), real + (batch["segments"] > 0).sum()
    assert chosen / real == pytest.approx(0.15, abs=0.003)
    assert masked / chosen == pytest.approx(0.8, abs=0.015)
    # One random token in 36 is the old one again.
    assert other / chosen == pytest.approx(0.1 * 35 / 36, abs=0.01)
    assert kept / chosen == pytest.approx(0.1 * 37 / 36, abs=0.01)


def test_whole_words_are_chosen_with_all_their_tokens():
    task, batch = Task(Toy(), MASK, (0, 1, 2), rate=0.3, whole_words=True), make_batch()
    for i in range(20):
        _, where = hide(task, batch, jax.random.key(i))
        inside = where[1:, : LENGTH // 3 * 3].reshape(3, -1, 3)
        assert (inside.all(-1) == inside.any(-1)).all() and inside.any()


def test_the_loss_is_that_of_the_chosen_tokens_alone():
    task, batch = Task(Toy(), MASK, (0, 1, 2)), make_batch()
    variables = task.init(jax.random.key(0), batch)
    rng = jax.random.key(5)
    value, aux = task.loss(variables, batch, rng, train=True)
    seen, where = hide(task, batch, jax.random.split(rng)[0])
    table = variables["params"]["table"]
    logits = table[seen] @ table.T
    nats = softmax_cross_entropy(logits, batch["tokens"])
    np.testing.assert_allclose(value.total, nats[where].sum(), rtol=1e-5)
    assert int(value.weight) == where.sum() == int(aux.metrics["accuracy"].weight)


def test_evaluation_draws_by_the_rows_number_wherever_the_row_stands():
    task, batch = Task(Toy(), MASK), make_batch()
    variables = task.init(jax.random.key(0), batch)

    def loss(rows, key):
        part = {k: x[rows] for k, x in batch.items()}
        return task.loss(variables, part, jax.random.key(key), train=False)[0]

    whole = loss(np.arange(4), 0)
    parts = [loss(np.array(rows), 9) for rows in ([3, 0], [2, 1])]
    np.testing.assert_allclose(whole.total, sum(float(p.total) for p in parts), rtol=1e-5)
    assert float(whole.weight) == sum(float(p.weight) for p in parts) > 0


def test_two_steps_hide_different_tokens():
    task, batch = Task(Toy(), MASK), make_batch()
    first, second = (hide(task, batch, jax.random.key(i))[1] for i in (0, 1))
    assert (first != second).any()


@pytest.mark.parametrize("wrong, named", [({"mask_id": None}, "mask_id"), ({"rate": 0.0}, "rate")])
def test_a_task_that_could_hide_nothing_is_refused(wrong, named):
    with pytest.raises(UserError, match=named):
        Task(Toy(), **{"mask_id": MASK, **wrong})
