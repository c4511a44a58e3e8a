"""Starting from another run: `config.init_from` makes a fresh run's parameters those of a source.

    init_from=dict(
        path="runs/imdb_mlm",                           a run, or one of its checkpoints
        rename=((r"bert/(.*)", r"encoder/\\1"),),        source path -> this model's
        drop=("mlm/.*",),                               of the source: not wanted
        fresh=("classifier/.*",),                       of this model: initialised as ever
        resize=("positions/embedding",),                may be longer or shorter
    )

Every array of both sides is accounted for before one is read (mapping.py): what is forgotten or
misspelt stops the run. Of a source with an average of its parameters (config.ema) the average is
taken. A run that has a checkpoint of its own goes on from that and looks at no source.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from bigmodel_jax import checkpoint, config, mapping, moves, rundir, steps, trees
from bigmodel_jax.data.token_files import kind_of
from bigmodel_jax.errors import UserError
from bigmodel_jax.moves import Move


class Graft(NamedTuple):
    """What a run starts from, before anything is read.

    Attributes:
        path: as the config has it.
        checkpoint: of the source, verified.
        averaged: whether its parameters are an average that it kept.
        moves: what becomes of each array.
        saved: (path in the checkpoint, shape and dtype) of the source's arrays, by their names in
            config.init_from.
    """

    path: str
    checkpoint: Path
    averaged: bool
    moves: list[Move]
    saved: dict[str, tuple[str, jax.ShapeDtypeStruct]]

    @property
    def origin(self) -> str:
        """In words: "runs/imdb_mlm, step 1200 (the average of its parameters)"."""
        average = " (the average of its parameters)" if self.averaged else ""
        return f"{self.path}, step {self.checkpoint.name}{average}"

    def describe(self) -> str:
        """The table in a few lines."""
        taken = sum(m.how not in ("fresh", "drop") for m in self.moves)
        whole = sum(m.target is not None for m in self.moves)
        head = f"Starting from {self.origin}: {taken} of {whole} arrays are taken."
        return "\n".join([head, *moves.show(self.moves)])

    def write(self, folder: Path) -> None:
        """init_from.json: the whole table."""
        content = {
            "path": self.path,
            "checkpoint": str(self.checkpoint),
            "averaged": self.averaged,
            "arrays": moves.as_json(self.moves),
        }
        rundir.replace(folder / "init_from.json", json.dumps(content, indent=2) + "\n")


def find(spec: Mapping, abstract: Mapping, source: Any, own: tuple[str, ...] = ()) -> Graft | None:
    """What config.init_from asks for; None where it names no path. Reads shapes alone.

    Args:
        abstract: shapes of this run's variables.
        source: of this run's data, whose tokenizer must be the one that the parameters know.
        own: collections of this run's task that its model does not know.

    Raises:
        UserError: there is no such run, it is damaged, something is not accounted for, or the
            tokenizer is another.
    """
    if not spec["path"]:
        return None
    found, run = locate(spec["path"])
    if damage := checkpoint.verify(found):
        raise UserError(f"config.init_from.path: the checkpoint {found} is damaged: {damage}.")
    arrays = checkpoint.saved_variables(found)
    averaged = any(path.startswith("ema/") for path in arrays)
    saved = _named(arrays, averaged)
    wanted = {name: x for name, (_, x) in _named(trees.flatten(abstract)).items()}
    shapes = {name: x for name, (_, x) in saved.items()}
    mapping.check(shapes, wanted, spec)
    if run is not None:  # first: another tokenizer is why a vocabulary has another size
        _check_tokenizer(run, source, wanted, spec)
    return Graft(spec["path"], found, averaged, mapping.account(shapes, wanted, spec, own), saved)


def load(graft: Graft, abstract: Mapping, init: Callable[[], Mapping]) -> dict[str, Any]:
    """The variables of step 0, each made where it lives.

    What has the source's shape is read straight into its place. Layers that are stacked or taken
    apart, and tables that are resized, exist twice for a moment.

    Args:
        abstract: shapes, dtypes and shardings of the variables.
        init: makes fresh ones, of which only those that are needed are computed.
    """
    wanted = _named(trees.flatten(abstract))
    targets = {m.target: m for m in graft.moves if m.target is not None}
    part = {}
    for name, move in targets.items():
        for source in move.sources:
            path, x = graft.saved[source]
            part[path] = _as_read(move, x, wanted[name][1])
    read = checkpoint.restore_part(graft.checkpoint, part) if part else {}
    new = {name: x for name, (_, x) in wanted.items() if targets[name].how in ("fresh", "grow")}

    def initialised():
        made = _named(trees.flatten(init()))
        return {name: made[name][1] for name in new}

    fresh = jax.jit(initialised, out_shardings={name: x.sharding for name, x in new.items()})()
    variables = {}
    for name, (path, x) in wanted.items():
        sources = [read[graft.saved[source][0]] for source in targets[name].sources]
        variables[path] = _made(targets[name], x, sources, fresh.get(name))
    variables = trees.unflatten(variables)
    for name in steps.AVERAGED.keys() & abstract.keys():
        # In buffers of its own: a step gives those of its arguments away.
        variables[name] = jax.tree.map(jnp.copy, variables[steps.AVERAGED[name]])
    return variables


def keep(graft: Graft, variables: Mapping, changed: Mapping) -> dict[str, Any]:
    """`changed`, but what was taken from the source is as in `variables`."""
    paths = {name: path for name, (path, _) in _named(trees.flatten(variables)).items()}
    taken = {paths[m.target] for m in graft.moves if m.target and m.how != "fresh"}
    return trees.replace(changed, trees.select(variables, taken.__contains__))


def locate(given: str) -> tuple[Path, Path | None]:
    """(the checkpoint that config.init_from.path names, the run that it is of, where there is one).

    Raises:
        UserError: it names neither a run nor a checkpoint, or a run without one.
    """
    path = Path(given).expanduser().absolute()
    if (path / "arrays").is_dir():
        run = path.parent.parent
        return path, run if (run / "config.json").is_file() else None
    if (path / "config.json").is_file():
        return rundir.chosen_checkpoint(path), path
    what = "holds neither config.json nor arrays/" if path.is_dir() else "is not there"
    raise UserError(f"config.init_from.path names a run or a checkpoint, but {path} {what}.")


def _named(arrays: Mapping[str, Any], averaged: bool = False) -> dict[str, tuple[str, Any]]:
    """(path, array) by name: parameters without their collection, or averages as what they are of."""
    found = {}
    for path, x in arrays.items():
        kind, _, rest = path.partition("/")
        of = steps.AVERAGED.get(kind)
        if kind in steps.AVERAGED.values() if averaged else of:
            continue
        kind = of or kind
        found[rest if kind == "params" else f"{kind}/{rest}"] = path, x
    return found


def _as_read(move: Move, saved, x) -> jax.ShapeDtypeStruct:
    """How a source is read, for a target `x`: in its place, or sharded as that is."""
    mesh, spec = x.sharding.mesh, x.sharding.spec
    if move.how in ("interpolate", "grow"):
        spec = P()  # its length may not divide as the target's does
    elif move.how == "stack":
        spec = P(*spec[1:])
    elif move.how == "unstack":
        spec = P(None, *spec)
    return jax.ShapeDtypeStruct(saved.shape, x.dtype, sharding=NamedSharding(mesh, spec))


def _made(move: Move, x, sources, fresh):
    """The target, of what was read and of a fresh array where one is needed."""
    if move.how == "fresh":
        return fresh
    if move.how == "copy":
        return sources[0]
    fitted = jax.jit(_form(move), out_shardings=x.sharding)
    return fitted(*sources) if fresh is None else fitted(*sources, fresh)


def _form(move: Move) -> Callable:
    """The function of a move that is no copy."""
    if move.how == "stack":
        return lambda *layers: jnp.stack(layers)
    if move.how == "unstack":
        return lambda stack: stack[move.layer]
    if move.how == "interpolate":
        grid = "grid_positions" in str(move.target).split("/")
        form = interpolate_grid if grid else interpolate
        return lambda table: form(table, move.shape[0])
    return lambda old, new: new.at[tuple(map(slice, old.shape))].set(old)


def interpolate(table: jax.Array, length: int) -> jax.Array:
    """`[positions, ...]` to `[length, ...]`, linearly; the first and the last row stay themselves."""
    places = jnp.linspace(0.0, table.shape[0] - 1.0, length)
    low = jnp.floor(places).astype(jnp.int32)
    high = jnp.minimum(low + 1, table.shape[0] - 1)
    rows = table.astype(jnp.float32)
    share = (places - low).reshape(-1, *[1] * (table.ndim - 1))
    return (rows[low] * (1 - share) + rows[high] * share).astype(table.dtype)


def interpolate_grid(table: jax.Array, length: int) -> jax.Array:
    """`[places, dim]` of a square grid, row by row, to `[length, dim]` of another (models/vit.py).

    A row before the grid's, of a class token, stays itself. Bicubic, as vision transformers do with
    images of another size (Dosovitskiy et al. 2021, section 3.2).

    Raises:
        UserError: they are no square grids, or one has a class token and the other has not.
    """
    old, new = math.isqrt(table.shape[0]), math.isqrt(length)
    first = table.shape[0] - old**2
    if first not in (0, 1) or length - new**2 != first:
        raise UserError(
            f"config.init_from.resize: {table.shape[0]} positions of patches do not become {length}: "
            "both are a square, or both a square and a class token (model.pooling='first')."
        )
    grid = table[first:].astype(jnp.float32).reshape(old, old, -1)
    grid = jax.image.resize(grid, (new, new, grid.shape[-1]), "cubic")
    grid = grid.reshape(new**2, -1).astype(table.dtype)
    return jnp.concatenate([table[:first], grid])


def _check_tokenizer(run: Path, source: Any, wanted: Mapping, rules: Mapping) -> None:
    """Raises a UserError where ids mean something else than the source's parameters have learned."""
    theirs = run / "assets" / "tokenizer.json"
    tables = [path for path in wanted if f"/{path}".endswith("/embed/embedding")]
    fresh = bool(tables) and all(map(trees.matcher(rules["fresh"]), tables))
    if fresh or not theirs.is_file() or not hasattr(source, "save_assets"):
        return
    with tempfile.TemporaryDirectory() as folder:
        source.save_assets(Path(folder))
        ours = Path(folder) / "tokenizer.json"
        if not ours.is_file() or _sha256(ours) == _sha256(theirs):
            return
    if any(map(trees.matcher(rules["resize"]), tables)):
        spec = rundir.read_config(run)["data"].get("tokenizer") or {"name": kind_of(theirs)}
        _check_grown(config.build("data.tokenizers", spec), theirs, source.tokenizer)
        return
    published = {"name": "published", "path": str(theirs)}
    try:
        config.build("data.tokenizers", published).train(())
        way = f"set config.data.tokenizer = {published}"
    except UserError:  # in a format of its own
        way = f"take the tokenizer and the training part of config.data from {run / 'config.json'}"
    raise UserError(
        f"This run has a tokenizer that is not the model's in config.init_from.path, {run}: {way}, "
        "or start the embeddings anew, config.init_from.fresh=('embed/.*',)."
    )


def _check_grown(old, file: Path, new) -> None:
    """Raises a UserError where a larger vocabulary does not begin with the smaller one."""
    old.load(file.parent)
    count = min(old.vocabulary_size, new.vocabulary_size)
    pairs = zip(old.tokens(range(count)), new.tokens(range(count)), strict=True)
    for i, (was, now) in enumerate(pairs):
        if was != now:
            raise UserError(
                f"config.init_from.resize: the vocabulary does not grow, it changes: id {i} is "
                f"{was!r} for the source's tokenizer ({file}) and {now!r} for this run's."
            )


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
