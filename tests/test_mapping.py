"""Every array of a source and of a model is accounted for, or both lists are shown."""

import re

import jax
import jax.numpy as jnp
import pytest

from bigmodel_jax import mapping, moves
from bigmodel_jax.errors import UserError

NOTHING = {"rename": (), "drop": (), "fresh": (), "resize": ()}


def shapes(dtype=jnp.float32, **sizes):
    return {k.replace("__", "/"): jax.ShapeDtypeStruct(v, dtype) for k, v in sizes.items()}


def layers(count, name="encoder"):
    return {
        f"{name}/block_{i}/{k}": jax.ShapeDtypeStruct(v, jnp.float32)
        for i in range(count)
        for k, v in {"mlp/kernel": (4, 8), "norm/scale": (4,)}.items()
    }


def stack(count, name="encoder"):
    return {
        f"{name}/blocks/{k}": jax.ShapeDtypeStruct((count, *v), jnp.float32)
        for k, v in {"mlp/kernel": (4, 8), "norm/scale": (4,)}.items()
    }


def account(saved, wanted, own=(), **rules):
    return mapping.account(saved, wanted, {**NOTHING, **rules}, own)


def done(found):
    return {m.target or m.sources[0]: (m.how, m.sources, m.notes) for m in found}


MODEL = {**shapes(embed__embedding=(9, 4), head__kernel=(4, 2), head__bias=(2,)), **layers(2)}


def test_a_model_maps_onto_itself():
    found = account(MODEL, MODEL)
    assert {m.target: m.sources for m in found} == {path: (path,) for path in MODEL}
    assert {m.how for m in found} == {"copy"} and not any(m.notes for m in found)


def test_a_renamed_copy_fails_with_both_lists_and_the_nearest_names_and_passes_with_rename():
    saved = {k.replace("encoder/", "encodr/"): x for k, x in MODEL.items()}
    with pytest.raises(UserError) as error:
        account(saved, MODEL)
    text = str(error.value)
    assert "Of the source, with no place in this model (4):" in text
    assert (
        "  encodr/block_0..1/mlp/kernel [4, 8] Did you mean 'encoder/block_0/mlp/kernel'?" in text
    )
    assert "Of this model, with nothing in the source (4):" in text
    assert "  encoder/block_0..1/norm/scale [4] Did you mean 'encodr/block_0/norm/scale'?" in text
    assert "drop=('encodr/.*',), fresh=('encoder/.*',)" in text
    found = done(account(saved, MODEL, rename=((r"encodr/(.*)", r"encoder/\1"),)))
    assert found["encoder/block_1/norm/scale"] == (
        "copy",
        ("encodr/block_1/norm/scale",),
        ("renamed",),
    )


def test_a_wrong_rename_is_shown_with_what_it_made():
    with pytest.raises(UserError) as error:
        account(MODEL, MODEL, rename=((r"head/(.*)", r"heads/\1"),))
    text = str(error.value)
    assert "  head/bias [2], renamed heads/bias Did you mean 'head/bias'?" in text
    assert "  head/kernel [4, 2] Did you mean 'heads/kernel'?" in text


def test_drop_and_fresh_account_for_a_new_head():
    wanted = {k: x for k, x in MODEL.items() if not k.startswith("head")}
    wanted |= shapes(classifier__kernel=(4, 5))
    found = done(account(MODEL, wanted, drop=("head/.*",), fresh=("classifier/.*",)))
    assert found["head/kernel"][0] == found["head/bias"][0] == "drop"
    assert found["classifier/kernel"] == ("fresh", (), ())


def test_what_starts_fresh_drops_its_own_source_and_only_that():
    found = account(MODEL, MODEL, fresh=("head/.*",))
    dropped = {m.sources[0] for m in found if m.how == "drop"}
    assert dropped == {"head/kernel", "head/bias"}
    assert {m.target for m in found if m.how == "fresh"} == dropped


def test_scanned_and_unrolled_layers_fit_each_other():
    found = done(account(stack(3), layers(3)))
    assert found["encoder/block_2/norm/scale"] == ("unstack", ("encoder/blocks/norm/scale",), ())
    found = account(layers(11), stack(11))  # block_10 comes after block_9, not after block_1
    wanted = tuple(f"encoder/block_{i}/norm/scale" for i in range(11))
    assert done(found)["encoder/blocks/norm/scale"] == ("stack", wanted, ())
    renamed = account(layers(2, "bert"), stack(2), rename=((r"bert/(.*)", r"encoder/\1"),))
    assert {m.how for m in renamed} == {"stack"} and {m.notes for m in renamed} == {("renamed",)}


@pytest.mark.parametrize("saved, wanted", [(stack(3), layers(2)), (stack(2), layers(3))])
def test_another_number_of_scanned_layers_is_refused(saved, wanted):
    counts = len(wanted) // 2, saved["encoder/blocks/norm/scale"].shape[0]
    with pytest.raises(
        UserError, match=f"is of {counts[0]} layers, of the source {counts[1]} layers"
    ):
        account(saved, wanted)
    with pytest.raises(UserError, match="encoder/blocks/norm/scale is"):
        account(wanted, saved)


def test_what_an_error_proposes_touches_nothing_else():
    with pytest.raises(UserError, match=r"fresh=\('encoder/block_2/.\*',\)"):
        account(layers(2), layers(3))
    with pytest.raises(UserError, match=r"drop=\('encoder/block_2/.\*',\)"):
        account(layers(3), layers(2))
    with pytest.raises(UserError, match=r"fresh=\('head/bias',\)"):
        account({k: x for k, x in MODEL.items() if k != "head/bias"}, MODEL)


def test_positions_are_interpolated_and_vocabularies_grow_only_where_it_is_said():
    saved = shapes(positions__embedding=(8, 4), embed__embedding=(9, 4), head__kernel=(4, 9))
    wanted = shapes(positions__embedding=(16, 4), embed__embedding=(12, 4), head__kernel=(4, 12))
    with pytest.raises(UserError) as error:
        account(saved, wanted)
    assert "  embed/embedding is [12, 4], of the source [9, 4]\n" in str(error.value)
    assert "resize=('positions/.*', 'embed/.*',), fresh=('head/.*',)" in str(error.value)
    found = done(account(saved, wanted, resize=(".*embedding", "head/kernel")))
    assert [found[k][0] for k in saved] == ["interpolate", "grow", "grow"]
    assert found["embed/embedding"][2] == ("resized from [9, 4]",)
    with pytest.raises(
        UserError, match=r"embed/embedding is \[9, 4\].*\n.*\n.*fresh=\('embed/.*, 'h"
    ):
        account(wanted, saved, resize=(".*embedding", "head/kernel"))
    both = shapes(embed__embedding=(12, 5))
    with pytest.raises(UserError, match=r"is \[12, 5\], of the source \[9, 4\]\n.*fresh=\('embed"):
        account(shapes(embed__embedding=(9, 4)), both, resize=("embed/.*",))


def test_floats_are_cast_with_a_note_and_nothing_else_is():
    saved, wanted = shapes(w=(2,)), shapes(jnp.bfloat16, w=(2,))
    assert done(account(saved, wanted))["w"] == ("copy", ("w",), ("cast from float32",))
    with pytest.raises(UserError, match="w is bfloat16, of the source int32"):
        account(shapes(jnp.int32, w=(2,)), wanted)


def test_lora_starts_fresh_unless_the_source_has_it_and_so_does_what_belongs_to_the_task():
    wanted = {**MODEL, **shapes(lora__head__kernel__a=(4, 2), scaling__mean=())}
    found = done(account(MODEL, wanted, own=("scaling",)))
    assert found["lora/head/kernel/a"][0] == found["scaling/mean"][0] == "fresh"
    found = done(account(wanted, wanted, own=("scaling",)))
    assert found["lora/head/kernel/a"][0] == "copy"
    with pytest.raises(UserError, match="bigmodel_jax.merge"):
        account(wanted, {**MODEL, **shapes(scaling__mean=())})


def test_what_is_dropped_need_not_be_there():
    found = done(account(MODEL, MODEL, drop=("mlm/.*",)))
    assert {how for how, *_ in found.values()} == {"copy"}


@pytest.mark.parametrize(
    "rules, complaint",
    [
        (dict(drop=("hed/(",)), "config.init_from.drop: 'hed/(' is no regular expression"),
        (dict(fresh=("hed/.*",)), "config.init_from.fresh: 'hed/.*' matches"),
        (dict(resize=("embed",)), "config.init_from.resize: 'embed' matches"),
        (dict(rename=(("hed/(.*)", "x"),)), "config.init_from.rename: 'hed/(.*)' matches"),
        (dict(rename=(("head/(.*)", r"\2"),)), r"config.init_from.rename: '\\2' does not fit"),
        (dict(rename=("head/.*",)), "but it is pairs"),
        (dict(rename=((".*/bias", "head/kernel"),)), "both head/kernel and head/bias to head/"),
        (dict(drop="head/.*"), "is the string"),
    ],
)
def test_rules_that_say_nothing_are_named(rules, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)):
        account(MODEL, MODEL, **rules)


def test_the_table_is_short_where_layers_are_alike():
    wanted = {**stack(12), **MODEL, **layers(12, "other")}
    saved = {**layers(12), **stack(12, "other"), **shapes(jnp.bfloat16, embed__embedding=(9, 4))}
    wanted = {k: x for k, x in wanted.items() if not k.startswith("encoder/block_")}
    saved |= shapes(mlm__kernel=(4, 9), mlm__bias=(9,))
    lines = moves.show(account(saved, wanted, drop=("mlm/.*",), fresh=("head/.*",)))
    assert [re.sub(r"\s+", " ", line).strip() for line in lines] == [
        "copied, cast from bfloat16 embed/embedding [9, 4]",
        "stacked encoder/block_0..11/... -> encoder/blocks/... 2 arrays",
        "fresh head/... 2 arrays",
        "unstacked other/blocks/... -> other/block_0..11/... 24 arrays",
        "dropped mlm/... 2 arrays",
    ]
