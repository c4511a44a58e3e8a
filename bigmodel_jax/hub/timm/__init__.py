"""Models as timm publishes them: its config.json and names, read only; they go out as transformers'.

timm's config.json names an architecture and says how images are prepared, but no sizes: those are the
shapes of the arrays. A file of this folder has the rows of one of our models, and what transformers'
config.json would say. Variants of an architecture with other parts (register tokens, deep stems) have
arrays without a place, which stops the import.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from bigmodel_jax.errors import UserError
from bigmodel_jax.hub.timm import resnet, vit

KNOWN = {"vit_": vit, "resnet": resnet}  # by how the names of architectures begin


def is_timms(given: Mapping[str, Any]) -> bool:
    """Whether a config.json is timm's."""
    return "architecture" in given and "model_type" not in given


def translated(
    given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], where: str
) -> tuple[ModuleType, dict[str, Any], dict[str, Any]]:
    """(the module with the rows, config.json, preprocessor_config.json as transformers has them).

    Args:
        given: timm's config.json; `where` names it.
        shapes: of the arrays, by their names.

    Raises:
        UserError: an architecture that is unknown here, or without a classifier.
    """
    name = str(given["architecture"])
    found = next((module for start, module in KNOWN.items() if name.startswith(start)), None)
    if found is None:
        raise UserError(
            f"{where}: of timm's architectures {', '.join(KNOWN)}... are known, not {name!r}."
        )
    if missing := [array for array in found.NEEDED if array not in shapes]:
        raise UserError(f"{where} is of {name!r}, but the files hold no {missing[0]}.")
    labels = given.get("label_names") or []
    if len(labels) != (count := shapes[found.NEEDED[0]][0]):
        labels = [f"LABEL_{i}" for i in range(count)]
    settings = {
        "model_type": found.MODEL,
        "architectures": list(found.HEADS),
        "id2label": {str(i): label for i, label in enumerate(labels)},
        **found.settings(given, shapes, where),
    }
    images = given.get("pretrained_cfg", given)
    prepared = {
        "image_mean": images.get("mean"),
        "image_std": images.get("std"),
        "crop_pct": images.get("crop_pct"),
        "size": {"height": (images.get("input_size") or [3, 224, 224])[1]},
    }
    return found, settings, prepared
