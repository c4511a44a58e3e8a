"""Beam search, against every text there is and against Hugging Face's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.generation import beam

VOCABULARY, END = 5, 0


def chain(seed):
    """Log-probabilities [last token, next token] of a random Markov chain."""
    return jax.nn.log_softmax(2 * jax.random.normal(jax.random.key(seed), (VOCABULARY, VOCABULARY)))


def search(table, first, **options):
    def next_logits(ids, positions, cache):
        return table[ids], {"last": ids}

    usual = {"beams": 4, "max_tokens": 4, "ends": [END], "padding": END}
    cache = {"last": jnp.asarray(first)[:, None]}
    positions = jnp.zeros(len(first), jnp.int32)
    return beam.search(
        next_logits, table[jnp.asarray(first)], positions, cache, **{**usual, **options}
    )


def all_texts(table, first, max_tokens, penalty):
    """(score, tokens) of every text, the best first."""
    found = {}
    for ids in itertools.product(range(VOCABULARY), repeat=max_tokens):
        text = ids[: ids.index(END) + 1] if END in ids else ids
        last, total = first, 0.0
        for i in text:
            last, total = i, total + float(table[last, i])
        found[text] = total / len(text) ** penalty
    return sorted(((score, text) for text, score in found.items()), reverse=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_with_beams_for_all_it_finds_the_best_texts_there_are(seed, penalty):
    table, first = np.asarray(chain(seed)), [1, 3]
    found = search(jnp.asarray(table), first, beams=VOCABULARY**4, length_penalty=penalty)
    for row, start in enumerate(first):
        expected = all_texts(table, start, 4, penalty)
        score_of = {text: score for score, text in expected}
        for place, (score, _) in enumerate(expected[:6]):
            length = int(found.lengths[row, place])
            text = tuple(np.asarray(found.tokens[row, place, :length]).tolist())
            # Of texts with one score any may come first.
            assert float(found.scores[row, place]) == pytest.approx(score, rel=1e-5)
            assert score_of[text] == pytest.approx(score, rel=1e-5)
            assert (np.asarray(found.tokens[row, place, length:]) == END).all()


def test_one_beam_without_an_end_takes_the_likeliest_each_time():
    table = chain(5)
    found = search(table, [2], beams=1, ends=[], max_tokens=6)
    last, expected = 2, []
    for _ in range(6):
        last = int(table[last].argmax())
        expected.append(last)
    assert np.asarray(found.tokens[0, 0]).tolist() == expected


@pytest.mark.parametrize("beams", [2, 4])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_it_finds_what_transformers_finds(beams, penalty):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.GPT2Config(
        vocab_size=11, n_positions=32, n_embd=16, n_layer=1, n_head=2, bos_token_id=1,
        eos_token_id=END, pad_token_id=END, initializer_range=0.8, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(settings).eval()
    prompt = torch.tensor([[3, 1, 4], [1, 5, 9]])
    with torch.no_grad():
        theirs = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), num_beams=beams, max_new_tokens=8,
            do_sample=False, length_penalty=penalty, early_stopping="never",
            num_return_sequences=beams, return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip

    def logits(texts):
        with torch.no_grad():
            return model(torch.tensor(np.asarray(texts))).logits[:, -1].numpy()

    def next_logits(ids, positions, cache):
        # The cache is the text itself: what is before `positions` of it is real.
        texts = cache["text"].at[jnp.arange(len(ids)), positions[:, 0]].set(ids[:, 0])
        end = int(positions[0, 0]) + 1
        return jnp.asarray(logits(texts[:, :end]))[:, None], {"text": texts}

    text = jnp.zeros((2, 16), jnp.int32).at[:, :3].set(prompt.numpy())
    with jax.disable_jit():  # the model is not ours
        found = beam.search(
            next_logits, jnp.asarray(logits(prompt.numpy())), jnp.full(2, 3), {"text": text},
            beams=beams, max_tokens=8, ends=[END], length_penalty=penalty, padding=END,
        )  # fmt: skip
    sequences = np.asarray(theirs.sequences)[:, 3:].reshape(2, beams, -1)
    width = sequences.shape[-1]
    np.testing.assert_array_equal(np.asarray(found.tokens)[:, :, :width], sequences)
    # They count the prompt's tokens out of the length, too.
    scores = np.asarray(theirs.sequences_scores).reshape(2, beams)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-4)
