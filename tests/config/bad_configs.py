"""Configurations with one mistake each: the text, the overrides, and the whole message."""

from dataclasses import dataclass

GOOD = """\
generations: 3
task: {name: toy, model: tiny}
population: {name: pop}
"""


@dataclass(frozen=True)
class Bad:
    text: str
    message: str
    overrides: tuple[str, ...] = ()


def task(settings: str) -> str:
    """A text whose line 3 is one more setting of the task."""
    return f"generations: 3\ntask: {{name: toy, model: tiny,\n  {settings}}}\npopulation: {{name: pop}}\n"


def plus(lines: str) -> str:
    """The good text with lines from 4 on."""
    return GOOD + lines


BAD: dict[str, Bad] = {
    "unknown key": Bad(
        plus("generatons: 3\n"),
        (
            "bad.yaml:4: generatons: unknown key. Did you mean 'generations'? Known: backend, "
            "checkpoint, controls, credit, device, evaluate, generations, improve, name, observers, optimizer_state, "
            "output, plugins, population, preset, seed, select, task, turn, vary."
        ),
    ),
    "no generations": Bad(
        "task: {name: toy, model: tiny}\npopulation: {name: pop}\n",
        (
            "bad.yaml: generations: missing; a configuration needs it: a whole number from 1 to 10000000 "
            "(number of generations)."
        ),
    ),
    "no task": Bad(
        "generations: 3\npopulation: {name: pop}\n",
        "bad.yaml: task: missing; expected a mapping such as {name: ...}. Known task components: toy.",
    ),
    "setting missing": Bad(
        "generations: 3\ntask:\n  name: toy\npopulation: {name: pop}\n",
        "bad.yaml:2: task.model: missing; task toy needs it: text (which model).",
    ),
    "unknown setting": Bad(
        task("layer: 3"),
        (
            "bad.yaml:3: task.layer: unknown setting of task toy. Did you mean 'layers'? Known: files, "
            "flag, folder, kind, layers, learn, limit, mode, model, ratio, scale, shape, weights, widths."
        ),
    ),
    "unknown component": Bad(
        plus("vary:\n  - {name: mixx}\n"),
        "bad.yaml:5: vary.0.name: no operator is called 'mixx'. Did you mean 'mix'? Known: band, mix.",
    ),
    "component of another kind": Bad(
        plus("vary:\n  - {name: step}\n"),
        (
            "bad.yaml:5: vary.0.name: no operator is called 'step'. ('step' exists as a component of "
            "kind 'improve'.) Known: band, mix."
        ),
    ),
    "text for whole number": Bad(
        task("layers: many"), "bad.yaml:3: task.layers: found 'many'; expected a whole number from 1 to 8 [layers]."
    ),
    "fraction for whole number": Bad(
        task("layers: 2.5"), "bad.yaml:3: task.layers: found 2.5; expected a whole number from 1 to 8 [layers]."
    ),
    "boolean for whole number": Bad(
        task("layers: yes"), "bad.yaml:3: task.layers: found true; expected a whole number from 1 to 8 [layers]."
    ),
    "quoted number": Bad(
        task('layers: "3"'), "bad.yaml:3: task.layers: found '3'; expected a whole number from 1 to 8 [layers]."
    ),
    "text for number": Bad(
        task("ratio: half"), "bad.yaml:3: task.ratio: found 'half'; expected a number from 0.0 to 1.0."
    ),
    "boolean for number": Bad(
        task("ratio: true"), "bad.yaml:3: task.ratio: found true; expected a number from 0.0 to 1.0."
    ),
    "nan": Bad(task("scale: .nan"), "bad.yaml:3: task.scale: found nan; expected a number, and finite."),
    "infinity": Bad(task("scale: .inf"), "bad.yaml:3: task.scale: found inf; expected a number, and finite."),
    "too large": Bad(task("ratio: 1.5"), "bad.yaml:3: task.ratio: found 1.5; expected a number from 0.0 to 1.0."),
    "too small": Bad(
        task("layers: 0"), "bad.yaml:3: task.layers: found 0; expected a whole number from 1 to 8 [layers]."
    ),
    "optional too small": Bad(
        task("limit: 0"), "bad.yaml:3: task.limit: found 0; expected a whole number or null, at least 1."
    ),
    "no such choice": Bad(
        task("kind: grene"),
        "bad.yaml:3: task.kind: found 'grene'; not allowed. Did you mean 'green'? Known: green, red.",
    ),
    "no such literal": Bad(task("shape: flat"), "bad.yaml:3: task.shape: found 'flat'; expected one of round, square."),
    "no such enum": Bad(task("mode: SLOW"), "bad.yaml:3: task.mode: found 'SLOW'; expected one of FAST, EXACT."),
    "number for boolean": Bad(task("flag: 1"), "bad.yaml:3: task.flag: found 1; expected true or false."),
    "boolean for text": Bad(task("kind: no"), "bad.yaml:3: task.kind: found false; expected one of red, green."),
    "number for text": Bad(
        "generations: 3\ntask: {name: toy, model: 7}\npopulation: {name: pop}\n",
        "bad.yaml:2: task.model: found 7; expected text.",
    ),
    "scalar for list": Bad(
        task("files: one"), "bad.yaml:3: task.files: found 'one'; expected a list, each entry text."
    ),
    "list for scalar": Bad(
        task("layers: [1]"), "bad.yaml:3: task.layers: found a list; expected a whole number from 1 to 8 [layers]."
    ),
    "mapping for scalar": Bad(
        task("layers: {a: 1}"),
        "bad.yaml:3: task.layers: found a mapping; expected a whole number from 1 to 8 [layers].",
    ),
    "wrong entry of list": Bad(
        task("widths: [4, wide]"), "bad.yaml:3: task.widths.1: found 'wide'; expected a whole number, at least 1."
    ),
    "entry of list too small": Bad(
        task("widths: [4, 0]"), "bad.yaml:3: task.widths.1: found 0; expected a whole number, at least 1."
    ),
    "wrong value of mapping": Bad(
        task("weights: {a: much}"), "bad.yaml:3: task.weights.a: found 'much'; expected a number."
    ),
    "null": Bad(
        task("layers: null"),
        "bad.yaml:3: task.layers: found nothing (null); expected a whole number from 1 to 8 [layers].",
    ),
    "name without mapping": Bad(
        plus("turn: round_robin\n"),
        (
            "bad.yaml:4: turn: found 'round_robin' without a name in plain text; expected a mapping such "
            "as {name: ...}. Known turn components: round_robin."
        ),
    ),
    "mapping for list of components": Bad(
        plus("vary: {name: mix}\n"),
        ("bad.yaml:4: vary: found a mapping; expected a list, with one `- {name: ...}` for each component."),
    ),
    "component without name": Bad(
        plus("vary:\n  - {rate: 0.5}\n"),
        (
            "bad.yaml:5: vary.0: found a mapping without a name in plain text; expected a mapping such "
            "as {name: ...}. Known operator components: band, mix."
        ),
    ),
    "scalar for group": Bad(
        plus("checkpoint: 5\n"),
        ("bad.yaml:4: checkpoint: found 5; expected a mapping of every_generations, every_seconds, keep."),
    ),
    "wrong setting of group": Bad(
        plus("checkpoint:\n  keep: 1\n"), "bad.yaml:5: checkpoint.keep: found 1; expected a whole number, at least 2."
    ),
    "duplicate key": Bad(
        plus("seed: 1\nseed: 2\n"), "bad.yaml:5: seed: given twice, first in line 4. Remove one of them."
    ),
    "tab": Bad("generations: 3\ntask:\n\tname: toy\n", "bad.yaml:3: found a tab; indent with spaces."),
    "list at the top": Bad(
        "- a\n- b\n", "bad.yaml: found a single value or a list; expected a mapping such as `generations: 40`."
    ),
    "text at the top": Bad(
        "hello\n", "bad.yaml: found a single value or a list; expected a mapping such as `generations: 40`."
    ),
    "nothing": Bad("", "bad.yaml: found nothing; expected a mapping such as `generations: 40`."),
    "two documents": Bad(plus("---\na: 1\n"), "bad.yaml:4: cannot be read as YAML [...]"),
    "bracket not closed": Bad(plus("vary: [\n"), "bad.yaml:5: cannot be read as YAML [...]"),
    "bad escape": Bad(plus('name: "\\q"\n'), "bad.yaml:4: cannot be read as YAML [...]"),
    "python tag": Bad(
        plus("name: !!python/object/apply:os.system [ls]\n"),
        (
            "bad.yaml:4: found the tag 'tag:yaml.org,2002:python/object/apply:os.system'; a "
            "configuration has no tags. Put text in quotes."
        ),
    ),
    "number as key": Bad(
        plus("1: x\n"), "bad.yaml:4: a key must be plain text; put it in quotes if it is meant as such."
    ),
    "merge key": Bad(
        "base: &b {name: pop}\npopulation: {<<: *b}\n",
        "bad.yaml:2: a key must be plain text; put it in quotes if it is meant as such.",
    ),
    "deep": Bad(plus(f"name: {'[' * 5000}{']' * 5000}\n"), "bad.yaml:4: more than 20 levels deep."),
    "bomb": Bad(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "bad.yaml: more than 10,000 values, aliases counted as often as used.",
    ),
    "alias of itself": Bad(plus("name: &n [*n]\n"), "bad.yaml:4: an alias of something that it is itself part of."),
    "number of no form": Bad(
        plus("seed: 0x_\n"),
        "bad.yaml: holds a number that cannot be read: invalid literal for int() with base 16: ''.",
    ),
    "number of five thousand digits": Bad(
        plus(f"seed: {'9' * 5000}\n"), "bad.yaml: holds a number that cannot be read: Exceeds the limit [...]"
    ),
    "zero in a text": Bad(
        task('folder: "a\\0b"'),
        (
            "bad.yaml:3: task.folder: found 'a\\x00b', which holds a zero or half of a character; no file or text can have "
            "that. Take it out."
        ),
    ),
    "half of a character": Bad(
        task('folder: "\\ud800"'),
        (
            "bad.yaml:3: task.folder: found '\\ud800', which holds a zero or half of a character; no file or text can have "
            "that. Take it out."
        ),
    ),
    "too long": Bad("# " + "x" * 100_000, "bad.yaml: 100,002 characters; a configuration has at most 100,000."),
    "forbidden variable": Bad(
        task("folder: '${oc.env:SECRET_TOKEN}'"),
        (
            "bad.yaml:3: task.folder: a configuration may not read the environment variable "
            "SECRET_TOKEN. Allowed: EVOWEIGHTS_*, CUDA_VISIBLE_DEVICES, HOME, USER, SLURM_*. To allow "
            "it, add --allow-env SECRET_TOKEN."
        ),
    ),
    "variable not set": Bad(
        task("folder: '${oc.env:EVOWEIGHTS_NOT_SET}'"),
        (
            "bad.yaml:3: task.folder: the environment variable EVOWEIGHTS_NOT_SET is not set. Set it, or "
            "give a default: ${oc.env:EVOWEIGHTS_NOT_SET,default}."
        ),
    ),
    "unknown resolver": Bad(
        task("folder: '${oc.decode:x}'"),
        (
            "bad.yaml:3: task.folder: an interpolation is of unknown form. Known: ${key}, ${oc.env:NAME} "
            "and ${oc.env:NAME,default}."
        ),
    ),
    "interpolation not closed": Bad(
        task("folder: '${seed'"),
        (
            "bad.yaml:3: task.folder: an interpolation is of unknown form. Known: ${key}, ${oc.env:NAME} "
            "and ${oc.env:NAME,default}."
        ),
    ),
    "nested interpolation": Bad(
        task("folder: '${oc.env:${name}}'"),
        (
            "bad.yaml:3: task.folder: an interpolation is of unknown form. Known: ${key}, ${oc.env:NAME} "
            "and ${oc.env:NAME,default}."
        ),
    ),
    "interpolations in a circle": Bad(
        task("folder: '${task.kind}', kind: '${task.folder}'"),
        (
            "bad.yaml: 2 mistakes:\n  bad.yaml:3: task.kind: interpolations go round in a circle, or need "
            "more than 100 steps.\n  bad.yaml:3: task.folder: interpolations go round in a circle, or "
            "need more than 100 steps."
        ),
    ),
    "interpolation of nothing": Bad(
        task("folder: '${task.nothing}'"),
        "bad.yaml:3: task.folder: ${task.nothing} names no single value of this configuration.",
    ),
    "interpolation of a mapping": Bad(
        task("folder: '${population}'"),
        "bad.yaml:3: task.folder: ${population} names no single value of this configuration.",
    ),
    "interpolated value of wrong type": Bad(
        task("layers: '${task.model}'"),
        (
            "bad.yaml:3: task.layers: found a value from an interpolation (not shown); expected a whole "
            "number from 1 to 8 [layers]."
        ),
    ),
    "interpolated name": Bad(
        plus("turn: {name: '${name}'}\n"),
        (
            "bad.yaml:4: turn: found a mapping without a name in plain text; expected a mapping such as "
            "{name: ...}. Known turn components: round_robin."
        ),
    ),
    "never active": Bad(
        plus("vary:\n  - {name: mix, start: 5, stop: 5}\n"),
        "bad.yaml:5: vary.0: stop is 5, but start is 5: the entry would never be active.",
    ),
    "settings that do not go together": Bad(
        plus("vary:\n  - {name: band, low: 2}\n"), "bad.yaml:5: vary.0: low is 2.0, which is not below high, 1.0."
    ),
    "run name with a slash": Bad(
        plus("name: a/b\n"),
        ("bad.yaml:4: name: found 'a/b'; expected 1 to 64 letters, digits, '.', '_' or '-', no '.' in front."),
    ),
    "hidden run name": Bad(
        plus("name: .a\n"),
        ("bad.yaml:4: name: found '.a'; expected 1 to 64 letters, digits, '.', '_' or '-', no '.' in front."),
    ),
    "no such device": Bad(
        plus("device: gpu\n"), "bad.yaml:4: device: found 'gpu'; expected auto, cpu, cuda, or cuda:N such as cuda:1."
    ),
    "no such backend": Bad(
        plus("backend: cpp\n"),
        (
            "bad.yaml:4: backend: found 'cpp'; not allowed. Did you mean 'cpu'? Known: auto, cpu, cuda, "
            "reference, triton."
        ),
    ),
    "negative seed": Bad(
        plus("seed: -1\n"), "bad.yaml:4: seed: found -1; expected a whole number from 0 to 18446744073709551615."
    ),
    "unknown preset": Bad(
        plus("preset: smal\n"),
        "bad.yaml:4: preset: no preset is called 'smal'. Did you mean 'small'? Known: broken, climber, small, two_climbers.",
    ),
    "plugins as text": Bad(
        plus("plugins: foo\n"),
        ("bad.yaml:4: plugins: expected a list of names such as my-plugin>=0.2 and files such as ./my_operator.py."),
    ),
    "plugin not installed": Bad(
        plus("plugins: [nowhere-to-be-found]\n"),
        (
            "bad.yaml:4: plugins.0: no installed plugin is called 'nowhere-to-be-found'. No plugin is installed here besides "
            "the built-in ones. Install the package that provides it, or give a file such as ./my_operator.py."
        ),
    ),
    "plugin request malformed": Bad(
        plus("plugins: ['foo bar']\n"),
        (
            "bad.yaml:4: plugins.0: found 'foo bar'; expected a name, a name with a version such as "
            "name>=0.2, or a .py file."
        ),
    ),
    "built-in plugin requested": Bad(
        plus("plugins: [fake_components]\n"),
        ("bad.yaml:4: plugins.0: fake_components is built in and always loaded. Remove it from the list."),
    ),
    "override without equals sign": Bad(
        GOOD, "command line: found 'seed'; expected key=value, such as seed=7 or vary.0.rate=0.1.", ("seed",)
    ),
    "override of nothing": Bad(
        GOOD,
        "command line: found 'task..model=x'; expected key=value, such as seed=7 or vary.0.rate=0.1.",
        ("task..model=x",),
    ),
    "override beyond a list": Bad(
        plus("vary:\n  - {name: mix}\n"),
        "command line: vary.1.rate: '1' is no entry of vary, which has entries 0 to 0.",
        ("vary.1.rate=0.1",),
    ),
    "override of an entry by name": Bad(
        plus("vary:\n  - {name: mix}\n"),
        "command line: vary.mix.rate: 'mix' is no entry of vary, which has entries 0 to 0.",
        ("vary.mix.rate=0.1",),
    ),
    "override in an empty list": Bad(
        GOOD, "command line: vary.0.rate: '0' is no entry of vary, which has no entries.", ("vary.0.rate=0.1",)
    ),
    "override below a value": Bad(
        GOOD, "command line: task.model.size: task.model is a single value and has no 'size'.", ("task.model.size=3",)
    ),
    "override out of range": Bad(
        plus("vary:\n  - {name: mix}\n"),
        "command line: vary.0.rate: found 2; expected a number from 0.0 to 1.0 [probability].",
        ("vary.0.rate=2",),
    ),
    "override of unknown key": Bad(
        GOOD,
        (
            "command line: sed: unknown key. Did you mean 'seed'? Known: backend, checkpoint, controls, credit, device, "
            "evaluate, generations, improve, name, observers, optimizer_state, output, plugins, "
            "population, preset, seed, select, task, turn, vary."
        ),
        ("sed=3",),
    ),
    "override of unknown setting": Bad(
        GOOD,
        (
            "command line: task.layer: unknown setting of task toy. Did you mean 'layers'? Known: files, "
            "flag, folder, kind, layers, learn, limit, mode, model, ratio, scale, shape, weights, widths."
        ),
        ("task.layer=3",),
    ),
    "override that is no YAML": Bad(GOOD, "command line: seed:1: cannot be read as YAML [...]", ("seed=[1",)),
    "override of several settings": Bad(
        GOOD,
        "command line: seed: found '1\\nname: x', which is more than a value. Give each setting as an argument of its own.",
        ("seed=1\nname: x",),
    ),
    "override of an entry beyond all numbers": Bad(
        plus("vary:\n  - {name: mix}\n"),
        f"command line: vary.{'9' * 5000}.rate: '{'9' * 5000}' is no entry of vary, which has entries 0 to 0.",
        (f"vary.{'9' * 5000}.rate=1",),
    ),
    "override with a tag": Bad(
        GOOD,
        (
            "command line: seed:1: found the tag 'tag:yaml.org,2002:python/name:os.system'; a "
            "configuration has no tags. Put text in quotes. Put the value in quotes if it is text."
        ),
        ("seed=!!python/name:os.system x",),
    ),
}
