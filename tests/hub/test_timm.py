"""timm's layout by name and shape: the same numbers as the same weights have under transformers' names."""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import jax
import numpy as np
import pytest

from bigmodel_jax import config, sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.hub import importing, published
from bigmodel_jax.hub.loading import load
from tests.hub.test_parity import peer_of, torch

FIRST = {
    "vit.embeddings.cls_token": "cls_token",
    "vit.embeddings.position_embeddings": "pos_embed",
    "vit.embeddings.patch_embeddings.projection": "patch_embed.proj",
    "vit.layernorm": "norm",
    "resnet.embedder.embedder.convolution": "conv1",
    "resnet.embedder.embedder.normalization": "bn1",
}
WITHIN = {
    "vit.encoder.layer.": "blocks.",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "shortcut.convolution": "downsample.0",
    "shortcut.normalization": "downsample.1",
}


def of_vit(state):
    """timm's arrays of a ViT of transformers: queries, keys and values lie in one, by rows."""
    heads, made = {}, {}
    for name, x in state.items():
        for theirs, ours in {**FIRST, **WITHIN, "classifier": "head"}.items():
            name = name.replace(theirs, ours)
        if ".attention.attention." in name:
            block, _, rest = name.partition(".attention.attention.")
            which, _, kind = rest.partition(".")
            heads.setdefault(f"{block}.attn.qkv.{kind}", {})[which] = x
        else:
            made[name] = x
    joined = {k: torch.cat([v["query"], v["key"], v["value"]]) for k, v in heads.items()}
    return made | joined


def of_resnet(state):
    """timm's arrays of a ResNet of transformers."""
    made = {}
    for name, x in state.items():
        for theirs, ours in {**FIRST, **WITHIN, "classifier.1": "fc"}.items():
            name = name.replace(theirs, ours)
        if name.startswith("resnet.encoder"):
            parts = name.split(".")  # resnet.encoder.stages.S.layers.L....
            rest = parts[6:]
            if rest[0] == "layer":
                kind = {"convolution": "conv", "normalization": "bn"}[rest[2]]
                rest = [f"{kind}{int(rest[1]) + 1}", *rest[3:]]
            name = ".".join([f"layer{int(parts[3]) + 1}", parts[5], *rest])
        made[name] = x
    return made


def arrays_of(peer, folder, translate):
    """timm's arrays of a model of transformers, from the names that its files have."""
    safetensors = pytest.importorskip("safetensors.torch")
    peer.save_pretrained(folder)
    return translate(safetensors.load_file(folder / "model.safetensors"))


def written(folder, arrays, **given):
    safetensors = pytest.importorskip("safetensors.torch")
    folder.mkdir()
    arrays = {k: x.contiguous() for k, x in arrays.items()}
    safetensors.save_file(arrays, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(given))
    return folder


NAMES = {
    "vit": (
        {"blocks.1.attn.qkv.weight": (72, 24), "blocks.0.mlp.fc1.bias": (40,), "pos_embed": (1, 10, 24)},
        dict(architecture="vit_own_patch4_12", model_args={"num_heads": 3}),
        of_vit,
    ),
    "resnet": (
        {"layer1.0.conv1.weight": (8, 8, 3, 3), "layer2.0.downsample.0.weight": (16, 8, 1, 1),
         "layer2.1.bn2.running_var": (16,), "fc.bias": (3,)},
        dict(architecture="resnet18", global_pool="avg"),
        of_resnet,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
def test_a_model_of_timms_says_what_the_same_weights_say_elsewhere(case, tmp_path):
    names, given, translate = NAMES[case]
    peer = peer_of(case)
    arrays = arrays_of(peer, tmp_path / "peer", translate)
    assert {name: tuple(arrays[name].shape) for name in names} == names
    labels = ["cat", "dog", "emu"]
    folder = written(tmp_path / "timm", arrays, num_classes=3, label_names=labels, **given)
    found, mesh = published.read(folder), sharding.make_mesh({"data": 1}, jax.devices()[:1])
    assert not found.dropped
    with sharding.use(mesh):
        variables = load(found, published.abstract(found.model, mesh))
    model = config.build("models", found.model)
    images = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
    got = jax.jit(model.apply)(variables, images)
    want = peer(torch.tensor(images).permute(0, 3, 1, 2)).logits.detach()
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_images_are_prepared_as_timm_says_and_other_variants_are_refused(tmp_path):
    arrays = arrays_of(peer_of("vit"), tmp_path / "peer", of_vit)
    prepared = dict(mean=[0.1, 0.2, 0.3], std=[1.0, 1.0, 0.5], crop_pct=0.9, input_size=[3, 12, 12])
    given = dict(NAMES["vit"][1], pretrained_cfg=prepared)
    found = published.read(written(tmp_path / "timm", arrays, **given))
    assert found.given["model_type"] == "vit" and found.given["num_attention_heads"] == 3
    data, units = importing._of_images(found)
    assert units == {"mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 0.5)}
    assert (data["crop"], data["image_size"], data["channels"]) == (0.9, 12, 3)
    more = {**arrays, "reg_token": torch.zeros(1, 4, 24)}
    cases = [
        (more, given, "reg_token"),
        (arrays, {**given, "global_pool": "avg"}, "global_pool is 'avg'"),
        (arrays, {"architecture": "vit_own"}, "how many heads 'vit_own' has"),
        (
            arrays,
            {"architecture": "convnext_tiny"},
            "vit_, resnet... are known, not 'convnext_tiny'",
        ),
        (arrays, {"architecture": "resnet50"}, "the files hold no fc.weight"),
    ]
    for i, (arrays, given, words) in enumerate(cases):
        with pytest.raises(UserError, match=words):
            published.read(written(tmp_path / f"bad-{i}", arrays, **given))
