"""JSON merge patches, RFC 7396."""

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """Return the target with the patch applied, without changing either. Null removes a field."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
