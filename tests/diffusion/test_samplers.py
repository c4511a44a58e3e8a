"""The sampler against what is known: data of one normal distribution, whose best prediction is a formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.diffusion.paths import PREDICTIONS
from bigmodel_jax.diffusion.sampling import sample

MEAN, STD = 0.4, 0.3


def exact(prediction):
    """predict(z, time) of data with that mean and deviation: what is expected of x and e, given z."""

    def predict(z, time):
        alpha, sigma = prediction.path(time)
        share = (z - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)
        return prediction.target(MEAN + alpha * STD**2 * share, sigma * share, alpha, sigma)

    return predict


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("name", PREDICTIONS)
def test_samples_have_the_mean_and_deviation_of_the_data(name, eta):
    noise = jax.random.normal(jax.random.key(0), (20_000,))
    prediction, rng = PREDICTIONS[name], jax.random.key(1)
    found = sample(exact(prediction), prediction, noise, 400, eta, rng, bound=None)
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(found.std()) == pytest.approx(STD, rel=0.02)
    # Without fresh noise an order is kept, as of any flow of one dimension; with it next to nothing is.
    kept = np.corrcoef(np.asarray(noise), np.asarray(found))[0, 1]
    assert kept > 0.999 if eta == 0 else abs(kept) < 0.1


def test_along_a_straight_path_it_is_eulers_method():
    prediction = PREDICTIONS["flow"]
    predict, z = exact(prediction), jax.random.normal(jax.random.key(0), (8,))
    found = sample(predict, prediction, z, 10, bound=None)
    for time in np.linspace(1, 0, 11, dtype=np.float32)[:-1]:
        z -= 0.1 * predict(z, jnp.asarray(time))
    np.testing.assert_allclose(found, z, rtol=1e-4, atol=1e-6)


def test_an_image_stays_within_its_bound():
    found = sample(lambda z, time: -3 * jnp.ones_like(z), PREDICTIONS["v"], jnp.ones(4), 5)
    np.testing.assert_allclose(found, 1.0)
