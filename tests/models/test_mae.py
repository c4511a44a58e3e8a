"""mae against transformers' ViTMAE, and against vit, which goes on from it."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import mae, vit
from tests.models.published import close

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 12, 12, 3)).astype(np.float32)
NOISE = RNG.random((3, 9)).astype(np.float32)
SIZES = {
    "image_size": 12, "patch_size": 4, "width": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 20,
    "decoder_width": 8, "decoder_layers": 1, "decoder_heads": 2,
}  # fmt: skip


def theirs_of(path):
    """Their name of one of our parameters."""
    parts = path.split("/")
    kind = {"kernel": "weight", "scale": "weight"}.get(parts[-1], parts[-1])
    if path == "class_token":
        return "vit.embeddings.cls_token"
    if path == "mask_token":
        return "decoder.mask_token"
    if parts[0] == "patches":
        return f"vit.embeddings.patch_embeddings.projection.{kind}"
    if parts[0] in ("decoder_embed", "pixels"):
        return f"decoder.decoder_{'embed' if parts[0] == 'decoder_embed' else 'pred'}.{kind}"
    stack = {"encoder": "vit.layers", "decoder": "decoder.decoder_layers"}[parts[0]]
    if parts[1] == "norm":
        return {"encoder": "vit.layernorm", "decoder": "decoder.decoder_norm"}[
            parts[0]
        ] + f".{kind}"
    names = {
        "attention_norm": "layernorm_before", "mlp_norm": "layernorm_after",
        "attention/query": "attention.q_proj", "attention/key": "attention.k_proj",
        "attention/value": "attention.v_proj", "attention/out": "attention.o_proj",
        "mlp/up": "mlp.fc1", "mlp/down": "mlp.fc2",
    }  # fmt: skip
    return f"{stack}.{parts[1].removeprefix('block_')}.{names['/'.join(parts[2:-1])]}.{kind}"


def test_predictions_mask_targets_and_every_gradient_are_those_of_transformers():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTMAEConfig(
        image_size=12, patch_size=4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=20, decoder_hidden_size=8, decoder_num_hidden_layers=1, mask_ratio=0.75,
        decoder_num_attention_heads=2, decoder_intermediate_size=32, norm_pix_loss=True,
        layer_norm_eps=1e-6, attn_implementation="eager",
    )  # fmt: skip
    peer = transformers.ViTMAEForPreTraining(config).eval()
    theirs = transformers.models.vit_mae.modeling_vit_mae.build_2d_sinusoidal_position_embedding
    for table in (peer.vit.embeddings.position_embeddings, peer.decoder.decoder_pos_embed):
        rows = theirs(3, 3, table.shape[-1], cls_token=True)  # from_pretrained alone fills them
        table.data[0] = rows.roll(table.shape[-1] // 2, 1)  # columns come first
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in peer.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model = mae.Model(**SIZES)
    shapes = trees.flatten(nn.unbox(jax.eval_shape(model.init, jax.random.key(0), IMAGES, NOISE)))

    def ours(read):
        found = {}
        for path, x in shapes.items():
            value = read(peer.get_parameter(theirs_of(path.removeprefix("params/"))))
            if path.endswith("patches/kernel"):
                value = value.transpose(2, 3, 1, 0)
            elif path.endswith("kernel"):
                value = value.T
            found[path] = np.ascontiguousarray(value.reshape(x.shape))
        return found

    learned = [p for p in peer.parameters() if p.requires_grad]
    assert sum(x.size for x in shapes.values()) == sum(p.numel() for p in learned)

    def loss(variables):
        predicted, hidden = model.apply(variables, IMAGES, NOISE)
        targets = model.apply(variables, IMAGES, method="targets")
        values = ((predicted - targets) ** 2).mean(-1)
        return values.mean(where=hidden), (predicted, hidden)

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, (predicted, hidden)), gradients = step(
        trees.unflatten(ours(lambda p: p.detach().numpy()))
    )
    pixels, noise = torch.tensor(IMAGES).permute(0, 3, 1, 2), torch.tensor(NOISE)
    out = peer(pixels, noise=noise)
    out.loss.backward()
    np.testing.assert_array_equal(hidden, out.mask.numpy() == 1)
    assert hidden.sum(1).tolist() == [7, 7, 7] and value == pytest.approx(out.loss.item(), rel=1e-5)
    close(predicted, out.logits.detach().numpy(), 1e-5, "predictions")
    for path, want in ours(lambda p: p.grad.numpy()).items():
        close(trees.flatten(gradients)[path], want, 1e-4, path)


def test_its_encoder_is_that_of_a_classifier_name_by_name():
    model = mae.Model(**SIZES)
    sizes = {k: v for k, v in SIZES.items() if not k.startswith("decoder")}
    classifier = vit.Model(5, positions="sincos", **sizes)
    shapes = jax.eval_shape(model.init, jax.random.key(0), IMAGES, NOISE)
    saved = trees.flatten(nn.unbox(shapes)["params"])
    shapes = jax.eval_shape(classifier.init, jax.random.key(0), IMAGES)
    wanted = trees.flatten(nn.unbox(shapes)["params"])
    drop = trees.matcher(("decoder.*", "mask_token", "pixels/.*"))
    kept = {path: x.shape for path, x in saved.items() if not drop(path)}
    assert kept == {k: x.shape for k, x in wanted.items() if not k.startswith("classifier")}


def test_a_share_that_hides_all_or_nothing_is_refused():
    for ratio in (0.0, 0.95):
        with pytest.raises(UserError, match=f"mask_ratio={ratio} leaves"):
            mae.Model(**SIZES, mask_ratio=ratio).init(jax.random.key(0), IMAGES, NOISE)
