"""Eight pretended CPU devices, strict dtypes, a shared compilation cache; `--update-goldens`."""

import os
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# Tiny programs: what XLA's backend would optimise takes longer than they run.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "bigmodel_jax_test_cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_dtypes(request):
    """No implicit dtype promotion in layers, models and tasks (optax itself relies on it)."""
    folder = request.path.parent.name
    with jax.numpy_dtype_promotion("strict" if folder in ("nn", "models", "tasks") else "standard"):
        yield


def pytest_addoption(parser):
    parser.addoption(
        "--update-goldens", action="store_true", help="Write tests/goldens anew; read the diff."
    )


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where sources keep their caches, shared by the tests of a process."""
    return str(tmp_path_factory.mktemp("data"))
