"""Lays one configuration under another: what the upper one leaves open is taken from the lower one."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def merge_under(
    values: dict[str, Any], under: Mapping[str, Any], *, origin: str, origins: dict[str, str], path: str = ""
) -> None:
    """Add to ``values`` what ``under`` says and they do not; ``origins`` learns that this is from ``origin``.

    Sections and components are merged, single settings are not. A component takes settings only from one of its own name,
    because another's mean something else; one without a name is that of ``under``. Of components in a list, ``values`` decide
    which there are and in which order.
    """
    for key, value in under.items():
        here = f"{path}.{key}" if path else key
        mine = values.get(key)
        if key not in values:
            values[key] = copy.deepcopy(value)
            origins[here] = origin
        elif isinstance(mine, dict) and isinstance(value, Mapping):
            is_mergeable = not path or "name" in value
            if is_mergeable and mine.get("name", value.get("name")) == value.get("name"):
                merge_under(mine, value, origin=origin, origins=origins, path=here)
        elif isinstance(mine, list) and isinstance(value, list):
            for place, entry, lower in _partners(mine, value):
                merge_under(entry, lower, origin=origin, origins=origins, path=f"{here}.{place}")


def _partners(mine: Sequence[Any], under: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any], Mapping[str, Any]]]:
    """Entries with the one below that has the same name; if several have it the first with the first, and so on."""
    free = [each for each in under if isinstance(each, Mapping) and "name" in each]
    for place, entry in enumerate(mine):
        same = [each for each in free if isinstance(entry, dict) and entry.get("name") == each["name"]]
        if same:
            free.remove(same[0])
            yield place, entry, same[0]
