"""Brings a published model into a run, or publishes a run.

    python -m bigmodel_jax.hub import bert-base-uncased/ --workdir=runs/bert
    python -m bigmodel_jax.hub import google-bert/bert-base-uncased --workdir=runs/bert
    python -m bigmodel_jax.hub export --workdir=runs/finetuned --output=finetuned/

Read as the class BertModel it keeps its pooler and leaves out the head for masked words:

    python -m bigmodel_jax.hub import bert-base-uncased/ --architecture=BertModel --workdir=runs/bert

`import` reads config.json, safetensors and the tokenizer from a folder, or fetches them from
huggingface.co by name. What comes out is the directory of a run: `generate`, `predict` and every
config that starts from a run (config.init_from) take it. `export` writes a folder that transformers'
from_pretrained loads.
"""

from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_enum("action", None, ["import", "export"], "What to do, also as the first word.")
    flags.DEFINE_string("source", None, "Of import: a folder or a name, also as the second word.")
    flags.DEFINE_string("workdir", None, "The run: to be written by import, to be read by export.")
    flags.DEFINE_string(
        "architecture", None, "Of import: the class to read it as, in place of config.json's."
    )
    flags.DEFINE_string("output", None, "Of export: the folder to write.")
    flags.DEFINE_string("max_shard_size", "5GB", "Of export: the largest file, as 500MB or 5GB.")


def main() -> None:
    """Does the action."""
    options = flags.FLAGS
    if not options.action:
        raise UserError("import or export? python -m bigmodel_jax.hub import DIR --workdir=RUN.")
    if not options.workdir:
        raise UserError("--workdir=DIR names the run, and is missing.")
    if options.action == "import":
        from bigmodel_jax.hub.importing import bring
        from bigmodel_jax.hub.remote import find

        if not options.source:
            raise UserError("Import what? python -m bigmodel_jax.hub import DIR --workdir=RUN.")
        print(bring(find(options.source), options.workdir, options.architecture))
        return
    from bigmodel_jax.hub.exporting import publish

    if options.source:
        raise UserError("export takes --workdir=RUN --output=DIR, and no other words.")
    if not options.output:
        raise UserError("--output=DIR names the folder to write, and is missing.")
    print(publish(options.workdir, options.output, options.max_shard_size))


if __name__ == "__main__":
    define_flags()
    run_main(main, words=("action", "source"))
