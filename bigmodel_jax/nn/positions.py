"""Where a token stands: sinusoids that are added, and rotations of queries and keys (RoPE)."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest

# Of each kind of scaling: what it must be given, and what it may be.
SCALINGS = {
    "default": ((), ()),
    "linear": (("factor",), ()),
    "llama3": (
        ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
        (),
    ),
    "yarn": (
        ("factor", "original_max_position_embeddings"),
        ("beta_fast", "beta_slow", "attention_factor"),
    ),
}


def sinusoids(length: int, dim: int) -> np.ndarray | jax.Array:
    """The positions of Vaswani et al. (2017): sines, then cosines, `[length, dim]` float32.

    Of wavelengths from 2 pi to 10,000 times that. An odd `dim` has one sine more.

    Args:
        length: or a symbol of jax.export, for which the table is computed where it is used.
    """
    wave = np.exp(-np.log(10_000.0) * np.arange((dim + 1) // 2) / max(dim // 2, 1))
    if not isinstance(length, int):
        # Whole turns are taken off first, by products that are exact up to place 2 ** 14: of an angle
        # of hundreds float32 would leave the sine five digits.
        turns = wave / (2 * np.pi)
        coarse = np.round(turns * 4096) / 4096
        place = jnp.arange(length, dtype=jnp.float32)[:, None]
        part = place * np.float32(coarse) % 1 + place * np.float32(turns - coarse)
        angles = np.float32(2 * np.pi) * part
        return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)[:, : dim // 2]], 1)
    angles = np.arange(length)[:, None] * wave
    return np.concatenate([np.sin(angles), np.cos(angles)[:, : dim // 2]], 1).astype(np.float32)


def sinusoids_of_grid(rows: int, columns: int, dim: int) -> np.ndarray:
    """The positions of He et al. (2022, MAE): `[rows * columns, dim]` float32, row by row.

    A half of the dimensions is the sinusoids of the column, the other of the row; 4 divides `dim`.
    """
    if dim % 4:
        raise UserError(f"A width of {dim} does not divide by 4, as the positions of a grid need.")
    row, column = np.indices((rows, columns)).reshape(2, -1)
    wave = np.exp(-np.log(10_000.0) * np.arange(dim // 4) / (dim // 4))
    parts = [f(axis[:, None] * wave) for axis in (column, row) for f in (np.sin, np.cos)]
    return np.concatenate(parts, 1).astype(np.float32)


def rotation(
    positions: jax.Array, dim: int, theta: float, scaling: Mapping[str, Any] | None = None
) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines, `[batch, length, dim // 2]` float32, of rotary positions for `rotate`.

    Su et al. 2021 (RoFormer), in the convention of Hugging Face's models: dimension i is turned with
    dimension i + dim // 2.

    Args:
        positions: `[batch, length]` int32.
        dim: of a head; even.
        theta: the base of the wavelengths, 2 pi * theta ** (2 i / dim).
        scaling: for texts longer than the model was trained on, as Hugging Face writes it into a
            model's config: rope_type "linear" (Chen et al. 2023), "llama3" (Llama 3.1) or "yarn"
            (Peng et al. 2023), and that type's numbers.

    Raises:
        UserError: an unknown type, or a number that it lacks or does not know; an odd `dim`.
    """
    if dim % 2:
        raise UserError(f"A head has {dim} dimensions, but rotary positions turn them in pairs.")
    frequencies, size = _frequencies(dim, theta, scaling)
    angles = positions[..., None].astype(jnp.float32) * frequencies
    tables = jnp.cos(angles) * np.float32(size), jnp.sin(angles) * np.float32(size)
    if sharding.platform() != "cpu":
        return tables
    # XLA's CPU backend would compute a sine where it is read, for every head of every layer, a tenth
    # of a small model's step; across a product it computes it once.
    one = jnp.eye(dim // 2)
    cos, sin = (jnp.matmul(table, one, precision=jax.lax.Precision.HIGHEST) for table in tables)
    return cos, sin


def rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """`[batch, length, heads, dim]` turned by `rotation`'s angles, in float32, back in x's dtype."""
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos[:, :, None], sin[:, :, None]
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)
    return turned.astype(x.dtype)


def _frequencies(dim, theta, scaling) -> tuple[np.ndarray, float]:
    """Radians a position, `[dim // 2]` float32, and the factor of cosines and sines."""
    given = {"rope_type": "default", **(scaling or {})}
    kind = given.pop("rope_type")
    if kind not in SCALINGS:
        raise UserError(f"model.rope_scaling is of rope_type {kind!r}.{nearest(kind, SCALINGS)}")
    needed, optional = SCALINGS[kind]
    for key in needed:
        if key not in given:
            raise UserError(f"model.rope_scaling of rope_type {kind!r} needs the number {key!r}.")
    for key in given:
        if key not in (*needed, *optional):
            known = nearest(key, (*needed, *optional))
            raise UserError(
                f"model.rope_scaling of rope_type {kind!r} has a number {key!r}.{known}"
            )
    base = 1.0 / theta ** (np.arange(0, dim, 2) / dim)
    size = 1.0
    if kind == "linear":
        base = base / given["factor"]
    elif kind == "llama3":
        base = _llama3(base, given)
    elif kind == "yarn":
        base = _yarn(base, dim, theta, given)
        size = given.get("attention_factor")
        size = 0.1 * math.log(given["factor"]) + 1.0 if size is None else size
    return base.astype(np.float32), size


def _llama3(base, given):
    """Short waves stay, long ones are stretched by the factor, between them it is interpolated."""
    low, high = given["low_freq_factor"], given["high_freq_factor"]
    turns = given["original_max_position_embeddings"] * base / (2 * np.pi)
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return kept * base + (1 - kept) * base / given["factor"]


def _yarn(base, dim, theta, given):
    """As llama3 does, but linear in the dimension's number between two numbers of turns."""

    def dimension(turns):
        length = given["original_max_position_embeddings"]
        return dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first = max(math.floor(dimension(given.get("beta_fast", 32.0))), 0)
    last = min(math.ceil(dimension(given.get("beta_slow", 1.0))), dim - 1)
    last = last if last != first else first + 0.001
    stretched = np.clip((np.arange(dim // 2) - first) / (last - first), 0.0, 1.0)
    return (1 - stretched) * base + stretched * base / given["factor"]
