"""Reference of the hooks, from their specifications, and of the records that they are given."""

import dataclasses
import inspect

from evoweights import hookspecs, records
from evoweights.ledger.credit import OperatorCredit
from evoweights.plugins.loading import API, MAX_ERRORS, hook_names, new_manager
from making.text import code, prose, table

RECORDS = (
    records.RunInfo,
    records.ImproveRecord,
    records.VaryRecord,
    records.GenerationRecord,
    records.IndividualSummary,
    records.RunResult,
    OperatorCredit,
)
_INTRO = """# Hooks

{doc}

A plugin is a module, or an observer an object, with functions that are marked `@hookimpl` (`from evoweights import hookimpl`) and
called like the hooks below. A function takes those of the arguments that it wants, by their names. An observer is switched off
after {errors} errors; `EVOWEIGHTS_STRICT_PLUGINS=1` lets the first one through. A constant `EVOWEIGHTS_API = "{api}"` of
the module says for which version of this interface it was made.
"""


def hook_pages() -> dict[str, str]:
    """The pages, by their place on the site."""
    doc = prose(hookspecs.__doc__)
    intro = _INTRO.format(doc=doc, errors=MAX_ERRORS, api=".".join(map(str, API)))
    hooks = [_hook(name) for name in hook_names(new_manager())]
    known = [
        "# Records of a run\n\nWhat hooks are given. `GenerationRecord` is a line of `metrics.jsonl`, `VaryRecord` a line of\n"
        "`lineage.jsonl`; the [ledger](../ledger.md) and the [run directory](../run_directory.md) have pages of their own.\n"
    ]
    return {
        "reference/hooks.md": "\n".join([intro, *hooks]),
        "reference/records.md": "\n".join(known + [_record(each) for each in RECORDS]),
    }


def _hook(name: str) -> str:
    function = getattr(hookspecs, name)
    arguments = inspect.signature(function).parameters.values()
    rows = [(code(each.name), _type(str(each.annotation))) for each in arguments]
    return f"## {name}\n\n{prose(function.__doc__)}\n\n{table(['argument', 'type'], [(name, kind) for name, kind in rows])}"


def _type(annotation: str) -> str:
    """The type of an argument, linked where it is a record."""
    plain = annotation.removeprefix("<class '").removesuffix("'>")
    linked = {each.__name__ for each in RECORDS}
    return f"[`{plain}`](records.md#{plain.lower()})" if plain in linked else code(plain)


def _record(record: type) -> str:
    rows = [
        (code(each.name), code(each.type if isinstance(each.type, str) else inspect.formatannotation(each.type)))
        for each in dataclasses.fields(record)
    ]
    return f"## {record.__name__}\n\n{prose(record.__doc__)}\n\n{table(['field', 'type'], rows)}"
