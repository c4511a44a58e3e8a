"""Plays episodes with a trained agent: prints their returns, and films the first.

    python -m bigmodel_jax.play --workdir=runs/cartpole_ppo
    python -m bigmodel_jax.play --workdir=runs/cartpole_ppo --episodes=20 --seed=7 --draw --gif=pole.gif

The agent takes the likeliest action; with --draw it draws, as it does when it learns.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run to play with.")
    flags.DEFINE_integer("episodes", 5, "How many to play.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the beginnings and of what is drawn.")
    flags.DEFINE_bool("draw", False, "Draw actions instead of taking the likeliest.")
    flags.DEFINE_string("gif", None, "Where the film goes; by default WORKDIR/play.gif.")


class Episode(NamedTuple):
    """One that was played to its end.

    Attributes:
        total: its return.
        pictures: uint8 [height, width, 3] after each step; none where it was not filmed.
    """

    total: float
    length: int
    pictures: list[np.ndarray]


def main() -> None:
    options = flags.FLAGS
    if not options.workdir:
        raise UserError("--workdir=DIR says which run to play with, and is missing.")
    gif = Path(options.gif or Path(options.workdir).expanduser() / "play.gif")
    totals = []
    for i, episode in enumerate(
        play(options.workdir, options.episodes, options.seed, options.draw)
    ):
        print(f"episode {i + 1}: return {episode.total:g} in {episode.length} steps", flush=True)
        totals.append(episode.total)
        if episode.pictures:
            film(episode.pictures, gif)
            print(f"Filmed: {gif}", flush=True)
    print(f"mean return {np.mean(totals):g} of {len(totals)}")


def play(workdir: str, episodes: int, seed: int = 0, draw: bool = False) -> Iterator[Episode]:
    """Episodes of a run, in its own environment; the first is filmed.

    Raises:
        UserError: `workdir` is no run of an agent.
    """
    import jax

    from bigmodel_jax.acting import worlds
    from bigmodel_jax.apply import load

    with load(workdir) as run:
        if not hasattr(run.task, "act"):
            raise UserError(
                f"{workdir} is a run of task {run.config['task']['name']!r}, which does not act."
            )

        def act(observation, key):
            return run.task.act(run.variables, observation, key if draw else None)

        act, key = jax.jit(act), jax.random.key(seed)
        actor, environment = run.config["actor"], getattr(run.task, "environment", None)
        if environment is None and actor.get("name") != "gym":
            raise UserError(f"{workdir} acts in no environment that can be played.")
        move = jax.jit(lambda world, key: worlds.move(environment, world, act, key)[0])
        for i in range(episodes):
            now = jax.random.fold_in(key, i)
            if environment is not None:
                yield _in_jax(environment, move, now, filmed=i == 0)
            else:
                yield _in_gym(actor["environment"], act, now, seed + i, filmed=i == 0)


def _in_jax(environment: Any, move, key, filmed: bool) -> Episode:
    import jax

    from bigmodel_jax.acting import worlds

    world, pictures = worlds.begin(environment, 1), []
    while not (pictures and world["over"][0]):
        key, now = jax.random.split(key)
        world = jax.device_get(move(world, now))
        state = jax.tree.map(lambda x: x[0], world["state"])
        pictures.append(environment.draw(state) if filmed else None)
    return Episode(float(world["return"][0]), len(pictures), pictures if filmed else [])


def _in_gym(name: str, act, key, seed: int, filmed: bool) -> Episode:
    import jax

    from bigmodel_jax.data.actors import gym_worlds

    known = gym_worlds.spaces(name)
    world = gym_worlds.make(name, render_mode="rgb_array" if filmed else None)
    seen, _ = world.reset(seed=seed)
    total, length, over, pictures = 0.0, 0, False, []
    while not over:
        key, now = jax.random.split(key)
        action = np.asarray(act(np.asarray(seen, np.float32)[None], now))[0]
        seen, reward, terminated, truncated, _ = world.step(known.bounded(action))
        total, length, over = total + float(reward), length + 1, terminated or truncated
        if filmed:
            try:
                pictures.append(np.asarray(world.render()))
            except Exception as error:  # of a package that only the pictures need
                print(f"NOTE: {name} cannot be drawn here: {str(error).splitlines()[0]}")
                filmed = False
    world.close()
    return Episode(total, length, pictures)


def film(pictures: list[np.ndarray], path: Path) -> None:
    """Writes a GIF of 30 pictures a second."""
    from PIL import Image

    first, *rest = [Image.fromarray(picture) for picture in pictures]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=rest, duration=33, loop=0)


if __name__ == "__main__":
    define_flags()
    run_main(main)
