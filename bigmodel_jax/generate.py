"""Writes on from prompts with a trained language model.

    python -m bigmodel_jax.generate --workdir=runs/gpt_shakespeare --prompt="ROMEO:" --max_tokens=200
    python -m bigmodel_jax.generate --workdir=runs/gpt_shakespeare --prompt="A" --prompt="B" --seed=1
    python -m bigmodel_jax.generate --workdir=RUN --prompt="..." --temperature=0 --stop="\\n\\n"
    python -m bigmodel_jax.generate --workdir=runs/chat --chat --prompt="Name three colours."

One prompt is written on as you look; several are a batch, printed when all are done. The same seed
gives the same text. --beams=4 searches for the likeliest text instead of drawing one. A text that
fills the model's context goes on from the last half of it. With --chat a prompt is what the user says,
and what follows is the answer.
"""

from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run to write with.")
    flags.DEFINE_multi_string("prompt", [], "What to write on from; may be given several times.")
    flags.DEFINE_integer("max_tokens", 200, "New tokens at most.", lower_bound=1)
    flags.DEFINE_float("temperature", 1.0, "Of the softmax; 0 takes the likeliest token.")
    flags.DEFINE_integer("top_k", 0, "Draw from that many of the likeliest tokens; 0 is all.")
    flags.DEFINE_float("top_p", 1.0, "Draw from the likeliest that have this probability.")
    flags.DEFINE_float("min_p", 0.0, "Draw from those with this share of the likeliest one's.")
    flags.DEFINE_float("repetition_penalty", 1.0, "Above 1, tokens come back less often.")
    flags.DEFINE_multi_string(
        "stop", [], "A text before which to stop; may be given several times."
    )
    flags.DEFINE_bool("chat", False, "Of a run on chats: answer the prompts, in its template.")
    flags.DEFINE_integer("seed", 0, "Of what is drawn.")
    flags.DEFINE_integer(
        "beams", 0, "Search for the likeliest text with so many beams.", lower_bound=0
    )
    flags.DEFINE_float("length_penalty", 1.0, "Of beams: above 0 favours longer texts.")


def main() -> None:
    """Writes on from every --prompt."""
    options = flags.FLAGS
    if not options.workdir:
        raise UserError("--workdir=DIR says which run to write with, and is missing.")
    if not options.prompt:
        raise UserError('--prompt="..." says what to write on from, and is missing.')
    from bigmodel_jax.generation.sampling import Sampling
    from bigmodel_jax.generation.writer import load_writer

    sampling = Sampling(
        options.temperature,
        options.top_k,
        options.top_p,
        options.min_p,
        options.repetition_penalty,
    )
    stops = [stop.replace("\\n", "\n").replace("\\t", "\t") for stop in options.stop]
    if options.beams and stops:
        raise UserError("--stop is of texts that are drawn, and --beams searches: leave out one.")
    with load_writer(options.workdir, sampling, options.chat) as writer:
        if options.beams:
            texts = writer.search(
                options.prompt, options.max_tokens, options.beams, options.length_penalty
            )
        elif len(options.prompt) == 1:
            pieces = writer.stream(options.prompt[0], options.max_tokens, stops, options.seed)
            first = next(pieces, "")  # before the prompt is shown, which may be refused
            print(options.prompt[0], end="\n" * options.chat + first, flush=True)
            for piece in pieces:
                print(piece, end="", flush=True)
            print()
            return
        else:
            texts = writer.write(options.prompt, options.max_tokens, stops, options.seed)
    for prompt, text in zip(options.prompt, texts, strict=True):
        between = "\n" if options.chat else ""
        print(f"{prompt}{between}{text}\n{'-' * 20}", flush=True)


if __name__ == "__main__":
    define_flags()
    run_main(main)
