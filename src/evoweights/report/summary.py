"""The head of a run's report: what it is, how it stands, and its most telling figures."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evoweights.report.distances import distance_text
from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.losses import lead_words
from evoweights.report.numbers import count_text, loss_text, plural, seconds_text, unit_text


@dataclass(frozen=True)
class Tile:
    """A figure to be read at a glance."""

    value: str
    what: str
    more: str = ""


def sentence_of(history: History, facts: RunFacts) -> str:
    """What kind of run this is."""
    done = len(history.generation)
    parts = [
        plural(done, "generation")
        if facts.generations is None
        else f"{done:,} of {plural(facts.generations, 'generation')}",
        plural(history.size, facts.individual),
        f"task {facts.component('task')}{_model(facts)}",
        f"improved by {_named(facts, 'improve')}",
        f"varied by {_named(facts, 'vary')}",
    ]
    if facts.genes is not None:
        shared = f" and {count_text(facts.shared_genes)} shared" if facts.shared_genes else ""
        parts.insert(2, f"{count_text(facts.genes)} genes each{shared}")
    return ", ".join(parts) + f", seed {facts.settings.get('seed')}"


def _model(facts: RunFacts) -> str:
    task = facts.settings.get("task")
    model = task.get("model") if isinstance(task, dict) else None
    return f" ({model})" if model else ""


def _named(facts: RunFacts, section: str) -> str:
    return " + ".join(facts.components(section)) or "nothing"


def tiles_of(history: History, facts: RunFacts) -> list[Tile]:
    """The figures of a run that say most."""
    tiles = [_best(history, facts)]
    if len(history.measured):
        first, last = history.first_loss, float(history.best_fitness[history.measured[-1]])
        tiles.append(Tile(f"{last - first:+.4f}", "change of the best loss", f"{loss_text(first)} at first"))
    tokens = float(history.tokens[-1])
    seconds = sum(float(np.nansum(each)) for each in history.seconds.values())
    if tokens > 0:
        tiles.append(Tile(count_text(tokens), f"{facts.unit} trained on", f"in {seconds_text(seconds)}"))
    else:
        tiles.append(Tile(seconds_text(seconds), "spent"))
    flops = history.ledger.get("flops")
    if flops is not None and np.isfinite(flops[-1]) and flops[-1] > 0:
        tiles.append(Tile(unit_text(float(flops[-1]), "FLOP"), "of training"))
    known = history.distance[np.isfinite(history.distance)]
    if history.size > 1 and len(known):
        more = f"{distance_text(known[0])} at first"
        tiles.append(Tile(distance_text(known[-1]), f"distance between {facts.individual}s", more))
    return tiles


def _best(history: History, facts: RunFacts) -> Tile:
    loss, row, born = (facts.best.get(key) for key in ("fitness", "row", "generation"))
    if not isinstance(loss, int | float):
        if not len(history.measured):
            return Tile("-", "no loss was measured yet")
        entry = int(np.nanargmin(history.best_fitness))
        loss, row, born = history.best_fitness[entry], history.best_row[entry], history.generation[entry]
    when = "before the first generation" if isinstance(born, int) and born < 0 else f"generation {born}"
    return Tile(loss_text(float(loss)), "lowest validation loss", f"{facts.individual} {row}, {when}")


def remarks_of(history: History, facts: RunFacts) -> list[str]:
    """What should be known besides: failures, how a run ended, who led."""
    remarks = []
    if facts.state != "finished":
        ended = f": {facts.note}" if facts.note else ""
        remarks.append(f"The run is {facts.state}{ended}; this page shows what is recorded so far.")
    for row, generation in sorted(history.failed.items()):
        who = f"{facts.individual.capitalize()} {row}"
        remarks.append(f"{who} had failed in generation {generation}: its loss was not finite.")
    if words := lead_words(history, facts):
        remarks.append(f"{words[0].upper()}{words[1:]}.")
    return remarks


def environment_rows(facts: RunFacts) -> list[tuple[str, str]]:
    """What the run ran on."""
    found = facts.environment
    versions = found.get("versions")
    rows = [(key, str(found[key])) for key in ("device", "machine", "cores", "torch_threads", "python") if key in found]
    if isinstance(versions, dict):
        rows += [(name, str(version)) for name, version in versions.items() if version]
    plugins: Any = found.get("plugins")
    if isinstance(plugins, dict):
        rows += [(f"plugin {name}", str(version)) for name, version in plugins.items()]
    return rows
