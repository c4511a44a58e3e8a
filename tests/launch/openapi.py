"""A strict check of data against a schema of OpenAPI 3, as far as Kubernetes' own schemas go."""

from collections.abc import Mapping
from typing import Any

KINDS = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def problems(data: Any, schema: Mapping, path: str = "") -> list[str]:
    """What is wrong, a line each: types, unknown and missing fields, values outside an enum."""
    if schema.get("x-kubernetes-int-or-string"):
        return [] if isinstance(data, (int, str)) else [f"{path}: neither number nor text"]
    kind = KINDS.get(schema.get("type", ""))
    if kind and (not isinstance(data, kind) or kind is int and isinstance(data, bool)):
        return [f"{path}: {data!r} is not {schema['type']}"]
    found = []
    if data not in schema.get("enum", [data]):
        found.append(f"{path}: {data!r} is none of {schema['enum']}")
    if isinstance(data, list):
        for i, item in enumerate(data):
            found += problems(item, schema.get("items", {}), f"{path}[{i}]")
    if isinstance(data, dict):
        known, free = schema.get("properties"), schema.get("additionalProperties")
        found += [f"{path}: no {name}" for name in schema.get("required", []) if name not in data]
        for name, value in data.items():
            inner = (known or {}).get(name, free if isinstance(free, Mapping) else None)
            if inner is not None:
                found += problems(value, inner, f"{path}.{name}")
            elif known is not None:
                found.append(f"{path}: unknown field {name}")
    return found
