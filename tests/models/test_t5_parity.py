"""t5 against T5ForConditionalGeneration and torch.nn.Transformer: the same weights, in float32."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax import trees
from bigmodel_jax.generation.seq2seq import Generator
from bigmodel_jax.models import t5
from bigmodel_jax.nn.relative import buckets
from bigmodel_jax.sharding import make_mesh
from tests.models.published import close

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY, SOURCE, LENGTH, WIDTH = 37, 11, 9, 24
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(2, VOCABULARY, (3, LENGTH)).astype(np.int32)
TEXTS = RNG.integers(2, VOCABULARY, (3, SOURCE)).astype(np.int32)
REAL = np.arange(SOURCE) < np.array([[SOURCE], [4], [7]])
WRITTEN = np.arange(LENGTH) < np.array([[6], [LENGTH], [3]])

# Our path of a parameter: theirs; {} is the number of a layer.
_ENCODER = {
    "attention_norm/scale": "layer.0.layer_norm",
    "attention/query": "layer.0.SelfAttention.q",
    "attention/key": "layer.0.SelfAttention.k",
    "attention/value": "layer.0.SelfAttention.v",
    "attention/out": "layer.0.SelfAttention.o",
}
_CROSS = {
    "cross_norm/scale": "layer.1.layer_norm",
    "cross/query": "layer.1.EncDecAttention.q",
    "cross/key": "layer.1.EncDecAttention.k",
    "cross/value": "layer.1.EncDecAttention.v",
    "cross/out": "layer.1.EncDecAttention.o",
}
_WHOLE = {
    "embed/embedding": "shared",
    "head/kernel": "lm_head",
    "encoder/norm/scale": "encoder.final_layer_norm",
    "decoder/norm/scale": "decoder.final_layer_norm",
    "encoder_relative/embedding": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
    "decoder_relative/embedding": "decoder.block.0.layer.0.SelfAttention.relative_attention_bias",
}


def theirs_of(path):
    """Their name of one of our parameters."""
    if path in _WHOLE:
        return _WHOLE[path] + ".weight"
    stack, block, rest = path.split("/", 2)
    number = block.removeprefix("block_")
    table = _ENCODER | (_CROSS if stack == "decoder" else {})
    mlp = f"layer.{1 + (stack == 'decoder')}"
    table["mlp_norm/scale"] = f"{mlp}.layer_norm"
    for ours, one, gated in (("up", "wi", "wi_1"), ("gate", "", "wi_0"), ("down", "wo", "wo")):
        table[f"mlp/{ours}"] = f"{mlp}.DenseReluDense.{{{one},{gated}}}"
    return f"{stack}.block.{number}.{table[rest.removesuffix('/kernel')]}.weight"


class Mapped:
    """Their model with random weights, under our paths."""

    def __init__(self, peer, shapes, gated):
        self.peer, self.shapes, self._gated = peer, trees.flatten(shapes), gated
        torch.manual_seed(0)
        with torch.no_grad():
            for p in peer.parameters():
                p.copy_(torch.randn_like(p) * 0.3)
        self.params = trees.unflatten(self.under_ours(lambda p: p.detach().numpy()))

    def under_ours(self, read):
        return {path: self._one(path, read) for path in self.shapes}

    def _one(self, path, read):
        name = theirs_of(path)
        if "{" in name:
            start, _, rest = name.partition("{")
            both, _, end = rest.partition("}")
            name = start + both.split(",")[self._gated] + end
        value = read(self.peer.get_parameter(name))
        value = value.T if path.endswith("kernel") else value
        return np.ascontiguousarray(value.reshape(self.shapes[path].shape))


def pair(version):
    """(ours, theirs and our parameters) of a version of T5."""
    gated = version == "1.1"
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=WIDTH, d_kv=8, d_ff=20, num_layers=2, num_decoder_layers=3,
        num_heads=3, relative_attention_num_buckets=8, relative_attention_max_distance=12,
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
        dropout_rate=0.0, decoder_start_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    peer = transformers.T5ForConditionalGeneration(config).eval()
    if gated:  # which this version of the package ties, whatever the config says
        peer.lm_head.weight = torch.nn.Parameter(torch.zeros(VOCABULARY, WIDTH))
    model = t5.Model(
        VOCABULARY, WIDTH, 2, 3, num_heads=3, head_dim=8, mlp_dim=20, num_buckets=8,
        max_distance=12, mlp="geglu" if gated else "relu", tied=not gated,
        logit_scale=None if gated else WIDTH**-0.5,
    )  # fmt: skip
    shapes = jax.eval_shape(model.init, jax.random.key(0), TEXTS, TOKENS)
    mapped = Mapped(peer, nn.unbox(shapes)["params"], gated)
    assert sum(p.numel() for p in peer.parameters()) == sum(x.size for x in mapped.shapes.values())
    return model, mapped


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_logits_states_and_every_gradient_are_those_of_transformers(version):
    model, mapped = pair(version)
    weights = RNG.normal(size=(*TOKENS.shape, VOCABULARY)).astype(np.float32)
    weights *= WRITTEN[..., None]

    def loss(params):
        logits = model.apply({"params": params}, TEXTS, TOKENS, REAL, WRITTEN)
        return (logits * logits * weights).sum(), logits

    gradients, logits = jax.jit(jax.grad(loss, has_aux=True))(mapped.params)
    found = mapped.peer(
        input_ids=torch.tensor(TEXTS).long(),
        attention_mask=torch.tensor(REAL).long(),
        decoder_input_ids=torch.tensor(TOKENS).long(),
    )
    (found.logits * found.logits * torch.tensor(weights)).sum().backward()
    memory = model.apply({"params": mapped.params}, TEXTS, REAL, method="encode")
    close(np.asarray(memory)[REAL], found.encoder_last_hidden_state.detach().numpy()[REAL], 1e-5, 0)
    close(np.asarray(logits)[WRITTEN], found.logits.detach().numpy()[WRITTEN], 1e-5, "logits")
    for path, gradient in mapped.under_ours(lambda p: p.grad.numpy()).items():
        close(trees.flatten(gradients)[path], gradient, 1e-4, path)


@pytest.mark.parametrize("two_sided", [True, False])
def test_every_distance_is_in_the_bucket_that_transformers_puts_it_in(two_sided):
    bucket = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket
    for count, far in ((32, 128), (32, 64), (8, 12), (16, 100)):
        distance = torch.arange(-far - 3, far + 4)
        want = bucket(distance, two_sided, count, far).numpy()
        one = buckets(count // 2 if two_sided else count, far)
        steps = -distance.numpy() if not two_sided else np.abs(distance.numpy())
        found = one[np.clip(steps, 0, far)]
        found = found + (count // 2) * (distance.numpy() > 0) if two_sided else found
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("how", ["greedy", "beams"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_what_is_written_is_what_transformers_writes(version, how):
    model, mapped = pair(version)
    beams = {"greedy": 1, "beams": 4}[how]
    with torch.no_grad():
        want = mapped.peer.generate(
            input_ids=torch.tensor(TEXTS).long(), attention_mask=torch.tensor(REAL).long(),
            num_beams=beams, do_sample=False, max_new_tokens=12, eos_token_id=1, pad_token_id=0,
            decoder_start_token_id=0, use_cache=False,  # theirs is for stacks of one depth
        ).numpy()[:, 1:]  # fmt: skip
    mesh = make_mesh({"data": 1}, jax.devices()[:1])
    generator = Generator(model, {"params": mapped.params}, mesh, ends=(1,))
    sources = [row[real].tolist() for row, real in zip(TEXTS, REAL, strict=True)]
    if beams == 1:
        found = generator.write(sources, 12)
    else:
        found = generator.search(sources, 12, beams)
    for ids, row in zip(found, want, strict=True):
        np.testing.assert_array_equal(ids, row[: len(ids)])
        assert set(row[len(ids) :]) <= {0, 1}  # padding, or what they pad the best beams with


def test_the_transformer_of_2017_is_that_of_torch():
    fields = {k: v for k, v in t5.VARIANTS["transformer-base"].items() if k != "vocabulary_size"}
    fields |= {"width": WIDTH, "num_layers": 2, "num_heads": 3, "mlp_dim": 20}
    model = t5.Model(VOCABULARY, **fields)
    shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), TEXTS, TOKENS))["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda s: rng.normal(0, 0.3, s.shape).astype(np.float32), shapes)
    flat = trees.flatten(params)

    layer = {"dropout": 0.0, "batch_first": True, "activation": "relu"}
    encoder = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(WIDTH, 3, 20, **layer), 2, enable_nested_tensor=False
    )
    decoder = torch.nn.TransformerDecoder(
        torch.nn.TransformerDecoderLayer(WIDTH, 3, 20, **layer), 2
    )
    for stack, peer in (("encoder", encoder), ("decoder", decoder)):
        copy(peer, stack, flat)

    def embedded(ids):
        table = torch.tensor(flat["embed/embedding"])
        at = np.arange(ids.shape[1])[:, None] / 10_000 ** (np.arange(WIDTH // 2) / (WIDTH // 2))
        places = torch.tensor(np.concatenate([np.sin(at), np.cos(at)], 1), dtype=torch.float32)
        return table[torch.tensor(ids).long()] * WIDTH**0.5 + places

    hidden = decoder(
        embedded(TOKENS),
        encoder(embedded(TEXTS), src_key_padding_mask=torch.tensor(~REAL)),
        tgt_mask=torch.nn.Transformer.generate_square_subsequent_mask(LENGTH),
        memory_key_padding_mask=torch.tensor(~REAL),
    )
    want = (hidden @ torch.tensor(flat["embed/embedding"]).T).detach().numpy()
    logits = np.asarray(model.apply({"params": params}, TEXTS, TOKENS, REAL, WRITTEN))
    close(logits[WRITTEN], want[WRITTEN], 1e-5, "logits")


def copy(peer, stack, flat):
    """Our weights into one of torch's stacks."""
    names = {"attention": "self_attn", "cross": "multihead_attn"}
    norms = ["attention_norm", *(["cross_norm"] if stack == "decoder" else []), "mlp_norm"]
    theirs = dict(peer.named_parameters())
    with torch.no_grad():
        for i in range(2):

            def ours(name, i=i):
                value = flat[f"{stack}/block_{i}/{name}"]
                return torch.tensor(np.array(value))

            for number, norm in enumerate(norms, 1):
                theirs[f"layers.{i}.norm{number}.weight"].copy_(ours(f"{norm}/scale"))
                theirs[f"layers.{i}.norm{number}.bias"].copy_(ours(f"{norm}/bias"))
            for name, linear in (("up", "linear1"), ("down", "linear2")):
                theirs[f"layers.{i}.{linear}.weight"].copy_(ours(f"mlp/{name}/kernel").T)
                theirs[f"layers.{i}.{linear}.bias"].copy_(ours(f"mlp/{name}/bias"))
            for name, module in list(names.items())[: 1 + (stack == "decoder")]:
                parts = [ours(f"{name}/{x}/kernel") for x in ("query", "key", "value")]
                kernel = torch.cat([x.reshape(WIDTH, WIDTH).T for x in parts])
                theirs[f"layers.{i}.{module}.in_proj_weight"].copy_(kernel)
                biases = [ours(f"{name}/{x}/bias").reshape(-1) for x in ("query", "key", "value")]
                theirs[f"layers.{i}.{module}.in_proj_bias"].copy_(torch.cat(biases))
                out = ours(f"{name}/out/kernel").reshape(WIDTH, WIDTH)
                theirs[f"layers.{i}.{module}.out_proj.weight"].copy_(out.T)
                theirs[f"layers.{i}.{module}.out_proj.bias"].copy_(ours(f"{name}/out/bias"))
