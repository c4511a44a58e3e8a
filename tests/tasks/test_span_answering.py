"""Span answering: what counts in the loss, and which span is the best."""

import jax
import numpy as np
import pytest

from bigmodel_jax import losses, sharding
from bigmodel_jax.data.windows import NOWHERE
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import bert, gpt
from bigmodel_jax.tasks.span_answering import Task

MODELS = {
    "bert": bert.Model(30, head="span", **bert.VARIANTS["tiny"]),
    "one type": bert.Model(30, head="span", **{**bert.VARIANTS["tiny"], "num_types": 1}),
    "gpt": gpt.Model(30, head="span", **gpt.VARIANTS["tiny"]),
}
LENGTH = 12


def make_batch():
    """Rows of a question of 2 tokens and contexts of 7, 3 and no tokens; then one of padding."""
    rng = np.random.default_rng(0)
    kept, place = np.array([12, 8, 5, 0])[:, None], np.arange(LENGTH)
    mask = place < kept
    context = (place >= 4) & (place < kept - 1) | (place == 0) & mask
    return {
        "tokens": (rng.integers(1, 30, mask.shape) * mask).astype(np.int32),
        "mask": mask,
        "types": ((place >= 4) & mask).astype(np.int32),
        "context": context,
        "start": np.array([5, 0, 0, 0], np.int32),
        "end": np.array([7, 0, 0, 0], np.int32),
        "valid": np.array([True, True, True, False]),
    }


def start(name="bert", **options):
    task, batch = Task(MODELS[name], **options), make_batch()
    variables = sharding.unbox(task.init(jax.random.key(0), batch))
    return task, batch, variables


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_over_the_places_where_a_span_may_be(name):
    task, batch, variables = start(name)
    value, aux = task.loss(variables, batch, jax.random.key(1), train=False)
    options = {"types": batch["types"]} if name == "bert" else {}
    logits = task.model.apply(variables, batch["tokens"], batch["mask"], **options)
    total, right = 0.0, 0
    for row in range(3):
        places = np.flatnonzero(batch["context"][row]).tolist()
        ends = [batch["start"][row], batch["end"][row]]
        of = [np.asarray(logits[row, places, i]) for i in range(2)]
        labels = [np.array(places.index(end)) for end in ends]
        total += sum(
            float(losses.softmax_cross_entropy(x, y)) for x, y in zip(of, labels, strict=True)
        )
        right += all(places[x.argmax()] == end for x, end in zip(of, ends, strict=True))
    assert float(value.total) == pytest.approx(total / 2, rel=1e-5) and float(value.weight) == 3
    assert float(aux.metrics["accuracy"].total) == right


@pytest.mark.parametrize("max_answer", [1, 3, 30])
def test_the_best_span_is_that_of_trying_all(max_answer):
    task, batch, variables = start(max_answer=max_answer)
    found = jax.device_get(task.predict(variables, batch))
    for row in range(2):
        begin, end = found["logits"][:, row]
        stop = int(batch["mask"][row].sum()) - 1
        spans = [
            (begin[i] + end[j], i, j)
            for i in range(4, stop)
            for j in range(i, min(stop, i + max_answer))
        ]
        best, i, j = max(spans)
        assert found["score"][row] == pytest.approx(best)
        assert (found["first"][row], found["last"][row]) == (i, j)
        assert found["null"][row] == pytest.approx(begin[0] + end[0])
    assert (found["score"][2:] < NOWHERE).all()  # no context


def test_there_is_no_answer_where_that_is_so_much_likelier():
    task = Task(MODELS["bert"], unanswerable=True, null_threshold=1.5)
    assert task.says_none(1.6) and not task.says_none(1.5)
    assert not Task(MODELS["bert"], null_threshold=1.5).says_none(99.0)


def test_what_a_user_can_get_wrong_is_said():
    with pytest.raises(UserError, match="max_answer is 0"):
        Task(MODELS["bert"], max_answer=0)
    with pytest.raises(UserError, match="head is 'tag', but answers need head=\"span\""):
        Task(bert.Model(30, num_classes=2, head="tag", **bert.VARIANTS["tiny"]))
    with pytest.raises(UserError, match="the data's target is 'tags'"):
        Task(MODELS["bert"]).check(type("Source", (), {"target": "tags"}))
