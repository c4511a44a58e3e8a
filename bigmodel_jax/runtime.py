"""How a command starts and how it fails: flags, the config file, the allocator, one-line errors.

if __name__ == "__main__":
    run_main(main)
"""

import glob
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging

from bigmodel_jax.errors import UserError, refuse_address

DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Prepared data and caches; by default TFDS_DATA_DIR or ~/tensorflow_datasets."
)
_DEBUG = flags.DEFINE_bool("debug", False, "Show the traceback of an error, and log verbosely.")

# Each step's temporary buffers otherwise go back to the system and are faulted in again, which
# costs a CPU run a third of its time. glibc reads this only when a process starts.
TUNED_ALLOCATOR = (
    "glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=68719476736"
    ":glibc.malloc.hugetlb=1"
)


def run_main(main: Callable[[], None], words: Sequence[str] = ()) -> None:
    """Runs a command: parses flags, then calls `main()`; a UserError ends it with one sentence.

    Words that come first are the values of the flags `words`.

    A run on the CPU first executes itself anew, once, with a tuned allocator (GLIBC_TUNABLES), unless
    BIGMODEL_ALLOCATOR=default is set.
    """
    tune_allocator()
    for name in ("data_dir", "debug"):  # shown by --help among the command's own
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    for i, name in enumerate(words, 1):
        if sys.argv[i:] and not sys.argv[i].startswith("-"):
            sys.argv[i] = f"--{name}={sys.argv[i]}"
    try:
        app.run(lambda _: _guarded(main), flags_parser=_parse)
    except UserError as error:  # from the flags, or with --debug from anywhere
        if flags.FLAGS.is_parsed() and _DEBUG.value:
            raise
        _fail(error)
    except BrokenPipeError:  # `| head` has seen enough; Python would complain once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tune_allocator() -> None:
    """Executes this command anew with TUNED_ALLOCATOR, where that helps and was not done yet."""
    accelerator = (
        glob.glob("/dev/nvidia[0-9]*") + glob.glob("/dev/accel*") + glob.glob("/dev/vfio/*")
    )
    on_cpu = os.environ.get("JAX_PLATFORMS", "") == "cpu" or not accelerator
    chosen = "GLIBC_TUNABLES" in os.environ or os.environ.get("BIGMODEL_ALLOCATOR") == "default"
    if sys.platform != "linux" or not on_cpu or chosen:
        return
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    command = ["-m", spec.name] if spec else [sys.argv[0]]
    options = [f"-W{option}" for option in sys.warnoptions]
    os.environ["GLIBC_TUNABLES"] = TUNED_ALLOCATOR
    os.execv(sys.executable, [sys.executable, *options, *command, *sys.argv[1:]])


def define_config(purpose: str) -> None:
    """Defines --config. A key that the file leaves out may be given as well: read_config judges it."""
    from ml_collections import config_flags

    config_flags.DEFINE_config_file(
        "config",
        None,
        f"What to {purpose}: configs/NAME.py[:variant,key=value].",
        lock_config=False,
        accept_new_attributes=True,
    )


def read_config(purpose: str) -> dict:
    """The completed config of the command line.

    Raises:
        UserError: none is given, or it has a key that nothing reads.
    """
    config = flags.FLAGS.config
    if config is None:
        raise UserError(f"--config=configs/NAME.py says what to {purpose}, and is missing.")
    from bigmodel_jax import schema
    from bigmodel_jax.config import complete

    completed = complete(config.to_dict())
    schema.check(completed)
    return completed


def find_config(name: str) -> str:
    """The path of a config file, as given or from the clone this package lies in; keeps ":args".

    Raises:
        UserError: there is no such file; lists those that there are.
    """
    path, colon, arg = name.partition(":")
    clone = Path(__file__).resolve().parent.parent
    for candidate in (Path(path), clone / path):
        if candidate.is_file():
            # A config may derive from its neighbours: `from configs import imdb`.
            sys.path.insert(0, str(candidate.resolve().parent.parent))
            return f"{candidate}{colon}{arg}"
    folder = Path("configs") if Path("configs").is_dir() else clone / "configs"
    known = [f"configs/{p.name}" for p in folder.glob("*.py") if p.stem != "__init__"]
    raise UserError(f"There is no config {path!r}. There are: {', '.join(sorted(known))}.")


def default_workdir(config: str) -> str:
    """runs/<config>[-<variant>] of "configs/imdb.py:lstm,seed=3" -> runs/imdb-lstm-seed=3."""
    path, _, arg = config.partition(":")
    words = [word.replace("/", "-") for word in arg.split(",") if word]  # fold=2/5 is one folder
    return str(Path("runs") / "-".join([Path(path).stem, *words]))


def _parse(argv):
    """absl's parser, with every error of a flag or a config as a UserError."""
    argv = list(argv)
    for i, item in enumerate(argv):
        if item.startswith(("--config=", "-config=")):
            flag, _, name = item.partition("=")
            argv[i] = f"{flag}={find_config(name)}"
        elif item in ("--config", "-config") and i + 1 < len(argv):
            argv[i + 1] = find_config(argv[i + 1])
    try:
        rest = flags.FLAGS(argv)
    except UserError:
        raise
    except flags.Error as error:
        number = re.fullmatch(
            r"flag (--\S+?)=(.*): (invalid literal|could not convert).*", str(error)
        )
        text = f"{number[1]} is a number, not {number[2]!r}." if number else str(error)
        raise UserError(text) from error
    except (AttributeError, LookupError, ValueError, TypeError) as error:
        if "--debug" in argv:
            raise
        raise UserError(_text(error)) from error
    if len(rest) > 1:
        raise UserError(f"Unexpected argument {rest[1]!r}: flags are given as --name=value.")
    return rest


def _text(error):
    """What ml_collections means, which wraps a misspelt key's error in others."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    text = " ".join(str(error.args[0] if error.args else error).split())
    misspelt = re.fullmatch(r"'([^']*)'( Did you mean \"([^\"]*)\" instead of .*)?", text)
    if not misspelt:
        return f"The command line or the config is wrong: {text}"
    key, near = misspelt[1], misspelt[3]
    return f"The config has no key {key!r}.{f' Did you mean {near!r}?' if near else ''}"


def _guarded(main):
    logging.set_verbosity(logging.DEBUG if _DEBUG.value else logging.ERROR)
    if not _DEBUG.value:
        _hush_orbax()
    try:
        refuse_address("--data_dir", DATA_DIR.value or "")
        main()
    except UserError as error:
        if _DEBUG.value:
            raise
        _fail(error)
    except BrokenPipeError:  # an OSError, too, that run_main knows
        raise
    except KeyboardInterrupt:
        _fail("interrupted; the same command again goes on from what was saved.")
    except OSError as error:
        if _DEBUG.value or error.strerror is None:
            raise
        _fail(f"{error.strerror}: {error.filename or 'while writing'}.")


def _hush_orbax():
    """Where it cannot write, each of Orbax's threads shows a traceback of what is raised anyway."""
    logging.get_absl_handler().addFilter(lambda record: "orbax" not in record.pathname)
    shown = sys.excepthook

    def show(kind, error, trace):
        if str(error) != "Event loop is closed":
            shown(kind, error, trace)

    sys.excepthook = show


def _fail(error):
    sys.stdout.flush()
    print(f"error: {error}", file=sys.stderr, flush=True)
    sys.exit(1)
