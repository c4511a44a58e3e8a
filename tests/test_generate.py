"""Text from a trained run: stops, characters of several bytes, and the command as a user runs it."""

import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.generation.writer import Text, load_writer
from bigmodel_jax.train import train
from configs import gpt_shakespeare


class Bytes:
    """A tokenizer of one id a byte."""

    def decode(self, ids):
        return bytes(ids).decode("utf-8", errors="replace")


def shown(text, parts, stops=()):
    """What appears after each part of the ids, and at the end."""
    made = Text(Bytes(), stops)
    return [*(made.add(part) for part in parts), made.rest()]


def test_half_a_character_waits_for_its_other_half():
    first, second = "é".encode()
    assert shown("é", [[65], [first], [second], [66]]) == ["A", "", "é", "B", ""]


def test_a_text_ends_before_a_stop_also_one_that_comes_in_parts():
    parts = [list(b"one\n"), list(b"\ntwo")]
    assert shown("", parts, ["\n\n"]) == ["one", "", ""]
    # What only looked like the beginning of a stop is shown after all.
    assert shown("", [list(b"a\n"), list(b"b")], ["\n\n"]) == ["a", "\nb", ""]
    assert shown("", [list(b"a\n")], ["\n\n"]) == ["a", "\n"]


def test_of_several_stops_the_first_counts():
    assert shown("", [list(b"abcd")], ["d", "b"]) == ["a", ""]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = gpt_shakespeare.get_config("best,tiny").to_dict()
    folder = tmp_path_factory.mktemp("writer")
    config["mesh"] = {"data": 1, "tensor": -1}
    config["rules"] = {"vocab": None, "heads": None, "groups": None, "mlp": None}
    train(config, str(folder / "run"), data_dir=str(folder / "data"))
    return str(folder / "run")


def test_a_stream_is_the_text_that_is_written_at_once(run):
    with load_writer(run, Sampling(temperature=0.8)) as writer:
        pieces = list(writer.stream("the ", 40, seed=3))
        assert len(pieces) > 2
        whole = writer.write(["the ", "a "], 40, seed=3)
        assert "".join(pieces) == whole[0] and len(whole[0]) == len(whole[1]) == 40


def test_the_command_writes_what_the_library_does(run, monkeypatch, capsys):
    from absl import flags

    from bigmodel_jax import generate

    known = set(flags.FLAGS)
    generate.define_flags()
    try:
        argv = ["generate", f"--workdir={run}", "--prompt=the ", "--max_tokens=12", "--seed=1"]
        flags.FLAGS(argv)
        generate.main()
        with load_writer(run, Sampling()) as writer:
            expected = writer.write(["the "], 12, seed=1)[0]
        assert capsys.readouterr().out.endswith(f"the {expected}\n")
        flags.FLAGS([*argv, "--beams=2", "--stop=x"])
        with pytest.raises(UserError, match="--beams"):
            generate.main()
        flags.FLAGS.prompt, flags.FLAGS.beams, flags.FLAGS.stop = ["Ω"], 0, []
        with pytest.raises(UserError, match="'Ω'"):
            generate.main()
        assert not capsys.readouterr().out  # nor is a refused prompt shown
    finally:
        for name in set(flags.FLAGS) - known:
            delattr(flags.FLAGS, name)


def test_a_character_the_model_never_saw_is_named(run):
    with load_writer(run, Sampling()) as writer, pytest.raises(UserError, match="'Ω'"):
        writer.write(["Ω"], 5)


def test_a_run_that_cannot_write_is_refused(tmp_path, data_dir):
    from configs import imdb_mlm

    config = {**imdb_mlm.get_config("tiny").to_dict(), "duration": "2 steps", "evals": {}}
    train(config, str(tmp_path / "run"), data_dir=data_dir)
    with pytest.raises(UserError, match="cannot write"), load_writer(tmp_path / "run", Sampling()):
        pass
