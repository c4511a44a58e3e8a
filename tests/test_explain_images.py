"""Explanations of images: sums that are exact, maps against closed forms and loops, a page of pictures."""

import base64
import functools
import io
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from bigmodel_jax import config, sharding
from bigmodel_jax.explanations import answers, maps, picture_page, pictures
from bigmodel_jax.explanations import gradients as explain
from bigmodel_jax.models import airbench, cnn, resnet, vit
from bigmodel_jax.tasks import classify

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
MODELS = {
    "linear": dict(name="mlp", hidden=()),
    "flat": dict(name="cnn", **{**cnn.VARIANTS["tiny"], "head": "flat"}),
    "resnet": dict(name="resnet", **resnet.VARIANTS["tiny"]),
    "airbench": dict(name="airbench", **airbench.VARIANTS["tiny"]),
    "vit": dict(name="vit", **vit.VARIANTS["tiny"]),
}


@functools.cache
def made(name):
    """(task, variables, a batch of two images), none of the variables a special case."""
    rng, size = np.random.default_rng(0), 24 if name == "airbench" else 8
    batch = {"image": rng.integers(0, 256, (2, size, size, 3), np.uint8)}
    model = config.build("models", {**MODELS[name], "num_classes": 3})
    task = classify.Task(model, mean=MEAN, std=STD)
    found = sharding.unbox(jax.jit(task.init)(jax.random.key(0), batch))
    noisy = lambda x: np.asarray(x + 0.05 * np.abs(rng.normal(size=x.shape)), np.float32)  # noqa: E731
    return task, jax.tree.map(noisy, found), batch


def attributed(name, label):
    task, variables, batch = made(name)
    one = {"image": np.repeat(batch["image"][:1], 8, 0)}
    slopes = jax.jit(explain.make_slopes(task))
    return explain.attribute(lambda a: slopes(variables, one, a, label), 8)


def test_of_a_linear_model_a_pixel_adds_its_weights_times_its_distance_from_the_mean_colour():
    task, variables, batch = made("linear")
    kernel = variables["params"]["classifier"]["kernel"].reshape(8, 8, 3, 3)
    from_mean = (batch["image"][0] / 255 - MEAN) / STD
    independent = classify.Task(task.model, loss="sigmoid", mean=MEAN, std=STD)
    slopes = jax.jit(explain.make_slopes(independent))
    rows = {"image": np.repeat(batch["image"][:1], 8, 0)}
    found = explain.attribute(lambda a: slopes(variables, rows, a, 1), 8)
    np.testing.assert_allclose(found.values, (kernel[..., 1] * from_mean).sum(-1), atol=1e-4)
    bias = float(variables["params"]["classifier"]["bias"][1])
    assert found.at_baseline == pytest.approx(bias, abs=1e-4)


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_all_pixels_add_up_to_the_difference_that_the_picture_makes(name):
    found = attributed(name, label=1)
    task, variables, batch = made(name)
    logits = jax.jit(task.logits)(variables, batch)[0]
    assert found.complete and found.values.shape == (8, 8)
    expected = logits[1] - jax.nn.logsumexp(logits[jnp.array([0, 2])])
    assert found.at_input == pytest.approx(float(expected), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["flat", "resnet", "airbench"])
def test_grad_cam_of_a_linear_head_is_the_sum_of_the_maps_by_their_weights(name):
    """A mean or maximum over places, or all of them flat: their gradients are known."""
    task, variables, batch = made(name)
    shown, _ = jax.jit(
        lambda v, b: task.apply(v, b, None, train=False, method="feature_map")
    )(variables, batch)  # fmt: skip
    _, height, width, channels = shown.shape
    weights = variables["params"]["classifier"]["kernel"]
    if name == "flat":
        weights = weights.reshape(height * width, channels, 3).mean(0)
    else:
        weights = weights / (height * width) * (1 / 9 if name == "airbench" else 1)
    expected = np.maximum(shown @ weights, 0)
    label = expected.max((0, 1, 2)).argmax()
    found = jax.jit(maps.make_grad_cam(task))(variables, batch, label)
    assert expected[..., label].max() > 0
    np.testing.assert_allclose(found, expected[..., label], rtol=1e-4, atol=1e-6)


def test_rollout_is_that_of_a_loop_and_of_a_class_token_what_it_has_of_each_patch():
    task, variables, batch = made("vit")
    weights = np.asarray(
        jax.jit(task.model.attention_weights)(variables, *task.inputs(batch)), np.float64
    )
    layers, rows, heads, tokens, _ = weights.shape
    expected = np.zeros((rows, tokens, tokens))
    for row in range(rows):
        flow = np.eye(tokens)
        for layer in range(layers):
            mean = sum(weights[layer, row, head] for head in range(heads)) / heads
            flow = (0.5 * mean + 0.5 * np.eye(tokens)) @ flow
        expected[row] = flow
    np.testing.assert_allclose(maps.rollout(jnp.asarray(weights)), expected, rtol=1e-5)
    looked_at = jax.jit(maps.make_rollout(task))(variables, batch)
    np.testing.assert_allclose(looked_at, expected[:, 0, 1:].reshape(2, 2, 2), rtol=1e-5)


def explained(**fields):
    image = np.zeros((2, 3, 1), np.uint8)
    values = np.array([[2.0, 0.0, -2.0], [0.0, 0.0, 0.0]])
    parts = explain.Attribution(values, 0.0, 0.0, 14)
    return pictures.PictureExplanation("<b>cat", "log-odds of <b>cat", image, parts, **fields)


def test_blue_speaks_for_orange_against_and_maps_grow_to_the_size_of_the_picture():
    found = pictures.drawn(explained(rollout=np.array([[0.2, 0.8]], np.float32)))
    picture, pixels, rollout = found.values()
    assert not picture.any()
    assert tuple(pixels[0, 0]) == pictures.BLUE and tuple(pixels[0, 2]) == pictures.ORANGE
    assert len(set(pixels[1].ravel())) == 1  # gray
    assert tuple(rollout[0, 2]) == tuple(rollout[1, 2]) == pictures.PURPLE
    assert rollout[0, 0, 0] == pixels[1, 0, 0]


def test_the_page_holds_its_pictures_and_nothing_of_a_name_becomes_html(tmp_path):
    meaning = answers.Meaning("class", ("<b>cat", "dog"))
    cam = np.ones((1, 1), np.float32)
    answer = answers.Answer("<i>a.png", np.array([0.75, 0.25]), False, explained(grad_cam=cam))
    with picture_page.PicturePage(tmp_path / "e.html", meaning, "run") as page:
        page.add([answer])
    html = (tmp_path / "e.html").read_text()
    assert "<b>cat" not in html and "<i>" not in html and "75.0%" in html
    assert "the sum of all pixels +0" in html and "img-src data:; style-src" in html
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(found) == html.count("src=") == html.count("<img") == 3
    sizes = [Image.open(io.BytesIO(base64.b64decode(x))).size for x in found]
    assert sizes == [(3, 2)] * 3
