"""Paths from image to noise: variances, mixtures and back, and the posterior of the discrete process."""

import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.diffusion.paths import PREDICTIONS, cosine, posterior_variance

TIMES = jnp.linspace(0.02, 0.98, 25)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_what_is_predicted_tells_image_and_noise(name):
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 25, 4)).astype(np.float32)
    alpha, sigma = (part[:, None] for part in PREDICTIONS[name].path(TIMES))
    said = PREDICTIONS[name].target(x, e, alpha, sigma)
    found = PREDICTIONS[name].split(alpha * x + sigma * e, said, alpha, sigma)
    np.testing.assert_allclose(found[0], x, atol=2e-4)
    np.testing.assert_allclose(found[1], e, atol=2e-4)


def test_the_velocity_of_a_straight_path_is_its_derivative():
    x, e, step = jnp.float32(0.3), jnp.float32(-1.2), 1e-3
    (a, s), (b, t) = (PREDICTIONS["flow"].path(jnp.float32(t)) for t in (0.4, 0.4 + step))
    slope = (b * x + t * e - a * x - s * e) / step
    assert float(PREDICTIONS["flow"].target(x, e, a, s)) == pytest.approx(float(slope), rel=1e-3)


def test_the_cosine_path_keeps_the_variance_and_is_the_published_one():
    alpha, sigma = cosine(TIMES)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, atol=1e-6)
    t = np.asarray(TIMES, np.float64)
    bar = (np.cos((t + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)) ** 2
    np.testing.assert_allclose(alpha**2, bar, rtol=1e-4)
    assert float(cosine(jnp.float32(0))[0]) == 1 and 0 < float(cosine(jnp.float32(1))[0]) < 0.01


def test_many_small_steps_of_noise_add_up_to_the_path_and_have_its_posterior():
    # The discrete process of Ho et al.: x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise.
    bars = np.asarray(cosine(jnp.linspace(0, 1, 101))[0], np.float64)[:100] ** 2
    betas = 1 - bars[1:] / bars[:-1]
    variance = 0.0
    for t, beta in enumerate(betas, 1):
        variance = (1 - beta) * variance + beta
        assert variance == pytest.approx(1 - bars[t], rel=1e-6)
    for t in (2, 50, 98):
        wanted = (1 - bars[t - 1]) / (1 - bars[t]) * betas[t - 1]
        now, then = ((np.sqrt(bars[i]), np.sqrt(1 - bars[i])) for i in (t, t - 1))
        assert posterior_variance(now, then) == pytest.approx(wanted, rel=1e-9)
