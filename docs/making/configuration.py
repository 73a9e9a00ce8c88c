"""Reference of the configuration: every key at its top, and the settings that are of no component."""

from collections.abc import Mapping

from omegaconf import OmegaConf

from evoweights.cli.extensions import default_text
from evoweights.config.run_config import BY_NAME, DEFAULTS, GROUPS, ORDER, SEVERAL, SINGLE, Phase, RunSettings
from evoweights.config.schema import REQUIRED, Setting, settings_of
from making.text import code, escaped, prose, table

_INTRO = """# Configuration

A configuration is a YAML file. Its keys, in the order in which a run writes them to its `config.yaml`: {keys}.

`profiles` may stand beside them: lists of settings by name, which `--profile NAME` applies. `${{key}}` stands for the value of
another key, `${{oc.env:NAME}}` for an environment variable; which of those may be read without `--allow-env` is said in
the error. On the command line `key=value` changes a value, `vary.1.rate=0.1` one within a section.

`evoweights validate CONFIG` says everything that is wrong with one.
"""


def configuration_pages() -> dict[str, str]:
    """The page, by its place on the site."""
    parts = [_INTRO.format(keys=", ".join(map(code, ORDER))), "## Single values\n", _settings(settings_of(RunSettings))]
    parts += [_section(key, kind) for key, kind in {**SINGLE, **SEVERAL}.items()]
    for key, group in GROUPS.items():
        parts.append(f"## {key}\n\n{prose(group.__doc__)}\n\n{_settings(settings_of(group))}")
    return {"reference/configuration.md": "\n".join(parts)}


def _section(key: str, kind: str) -> str:
    components = f"[{kind} components](components/{kind}.md)"
    text = (
        f"One of the {components}: a mapping with its `name` and settings."
        if key in SINGLE
        else (
            f"A list of {components}: each a mapping with its `name` and settings"
            + (", or the name alone." if key in BY_NAME else ".")
        )
    )
    if key in DEFAULTS:
        default = OmegaConf.to_yaml(OmegaConf.create({key: DEFAULTS[key]}))
        text += f" Without it:\n\n```yaml\n{default}```\n"
    if key in ("improve", "vary"):
        text += f"\nAn entry also says in which generations it acts:\n\n{_settings(settings_of(Phase))}"
    return f"## {key}\n\n{text}\n"


def _settings(settings: Mapping[str, Setting]) -> str:
    rows = [
        (
            code(each.name),
            "required" if each.default is REQUIRED else code(default_text(each)),
            each.allowed(),
            escaped(each.facts["doc"]),
        )
        for each in settings.values()
    ]
    return table(["key", "default", "allowed", "what it is"], rows)
