"""The config.json of a published model and the fields of ours: one table, read in both directions."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bigmodel_jax.errors import UserError, nearest

# What says nothing about what a model computes, or is said again elsewhere.
IGNORED = frozenset((
    "_name_or_path", "architectures", "attention_dropout", "attention_probs_dropout_prob",
    "attn_pdrop", "auto_map", "bos_token_id", "classifier_dropout", "decoder_start_token_id",
    "dtype", "embd_pdrop", "eos_token_id", "finetuning_task", "gradient_checkpointing", "id2label",
    "initializer_factor", "initializer_range", "keys_to_ignore_at_inference", "label2id",
    "max_length", "model_type", "n_ctx", "num_labels", "output_attentions", "output_hidden_states",
    "output_past", "pad_token_id", "pretraining_tp", "problem_type", "qa_dropout", "return_dict",
    "sep_token_id", "seq_classif_dropout", "task_specific_params", "tokenizer_class",
    "torch_dtype", "transformers_version", "unk_token_id", "use_cache",
))  # fmt: skip
REQUIRED: Any = object()


class Setting(NamedTuple):
    """One of their settings and a field of our model.

    Attributes:
        theirs: its name.
        ours: a field.
        default: where config.json leaves it out.
        values: theirs to ours, where they differ; of those that mean the same the first is written.
        shift: ours is theirs minus this.
    """

    theirs: str
    ours: str
    default: Any = REQUIRED
    values: Mapping[Any, Any] | None = None
    shift: int = 0


def read(
    given: Mapping[str, Any],
    table: Iterable[Setting],
    fixed: Mapping[str, tuple],
    ignored: Iterable[str],
    where: str,
) -> dict[str, Any]:
    """Fields of our model.

    Args:
        given: config.json.
        fixed: settings of which we know some values only, those; an absent one is the first.
        ignored: settings beside IGNORED that change nothing here.
        where: names the file.

    Raises:
        UserError: a setting that is unknown, missing, or has a value that we cannot follow.
    """
    table = list(table)
    known = {setting.theirs for setting in table} | {*fixed, *ignored} | IGNORED
    for name in given:
        if name not in known:
            raise UserError(
                f"{where} has the setting {name!r} = {given[name]!r}, of which this architecture knows "
                f"nothing here.{nearest(name, known - IGNORED)}"
            )
    for name, values in fixed.items():
        if name in given and given[name] not in values:
            choices = " or ".join(map(repr, values))
            raise UserError(
                f"{where}: {name} is {given[name]!r}, but our model knows {choices} only."
            )
    spec = {}
    for setting in table:
        value = given.get(setting.theirs, setting.default)
        if value is REQUIRED:
            raise UserError(f"{where} does not say {setting.theirs!r}.")
        if setting.values is not None:
            if value not in setting.values:
                choices = nearest(str(value), map(str, setting.values))
                raise UserError(f"{where}: there is no {setting.theirs} {value!r} here.{choices}")
            value = setting.values[value]
        spec[setting.ours] = value - setting.shift if setting.shift else value
    return spec


def write(spec: Mapping[str, Any], table: Iterable[Setting]) -> dict[str, Any]:
    """The inverse: their settings, from all fields of our model.

    Raises:
        Unlike: a field has a value that theirs has not.
    """
    found = {}
    for setting in table:
        value = spec[setting.ours]
        if setting.values is not None:
            same = [theirs for theirs, ours in setting.values.items() if ours == value]
            if not same:
                known = " or ".join(f"{setting.ours}={x!r}" for x in setting.values.values())
                raise Unlike(f"{known}, not {value!r}")
            value = same[0]
        found[setting.theirs] = value + setting.shift if setting.shift else value
    return found


class Unlike(Exception):
    """The architecture has not our model's form; says what it has instead."""


def demand(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises Unlike for a field that is not as an architecture always has it."""
    for field, value in wanted.items():
        if spec[field] != value:
            raise Unlike(f"{field}={value!r}, not {spec[field]!r}")
