"""Imports run one way, stay cheap, and the core needs neither tfds, grain nor ml_collections."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bigmodel_jax

PACKAGE = Path(bigmodel_jax.__file__).parent
# What a folder or module must not import: the rules of docs and DESIGN, by prefix.
FORBIDDEN = {
    "nn": ("optax", "bigmodel_jax.models", "bigmodel_jax.tasks", "bigmodel_jax.data", "bigmodel_jax.train"),
    "models": ("optax", "bigmodel_jax.tasks", "bigmodel_jax.data", "bigmodel_jax.train", "bigmodel_jax.evals"),
    "tasks": ("bigmodel_jax.data", "bigmodel_jax.train", "bigmodel_jax.evals", "bigmodel_jax.models"),
    "data": ("bigmodel_jax.models", "bigmodel_jax.tasks", "bigmodel_jax.train", "flax.linen", "optax"),
    "losses.py": ("bigmodel_jax",),
    "trees.py": ("flax", "optax"),
    "steps.py": ("optax", "flax.linen", "bigmodel_jax.models", "bigmodel_jax.tasks", "bigmodel_jax.data"),
}  # fmt: skip
MAX_LINES = 400


def imports(path):
    """Every module that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("place", FORBIDDEN)
def test_imports_run_one_way(place):
    target = PACKAGE / place
    files = [target] if target.is_file() else sorted(target.rglob("*.py"))
    for path in files:
        for name in imports(path):
            wrong = [p for p in FORBIDDEN[place] if name == p or name.startswith(f"{p}.")]
            assert not wrong, f"{path.relative_to(PACKAGE)} imports {name}"


def test_only_layers_models_and_sharding_build_on_linen():
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in ("nn", "models", "sharding.py"):
            assert not [n for n in imports(path) if n.startswith("flax.linen")], path


def test_no_file_grows_beyond_a_sitting():
    long = {
        p.name: n
        for p in PACKAGE.rglob("*.py")
        if (n := len(p.read_text().splitlines())) > MAX_LINES
    }
    assert not long


def run(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_importing_the_package_and_a_commands_flags_imports_no_jax():
    script = (
        "import sys, bigmodel_jax, bigmodel_jax.main, bigmodel_jax.prepare, bigmodel_jax.predict\n"
        "import bigmodel_jax.ablate, bigmodel_jax.compare\n"
        "heavy = {'jax', 'flax', 'optax', 'orbax', 'tensorflow_datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr


def test_the_core_runs_where_only_jax_flax_optax_and_orbax_are(tmp_path):
    script = f"""
import sys
for name in ("tensorflow_datasets", "grain", "ml_collections", "tensorflow", "torch"):
    sys.modules[name] = None  # an import of it fails
from tests.strains import batch_norm
from bigmodel_jax.train import train
assert int(train(batch_norm.config(duration="2 steps"), {str(tmp_path / "run")!r}).step) == 2
"""
    done = run(script)
    assert done.returncode == 0, done.stderr
