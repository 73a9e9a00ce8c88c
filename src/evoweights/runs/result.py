"""How a finished run ended: every individual, the best one's sample, and what it all cost."""

from dataclasses import asdict

from evoweights.contract import calling
from evoweights.engine import Engine
from evoweights.ledger.credit import credit_of
from evoweights.records import IndividualSummary, RunResult


def result_of(engine: Engine) -> RunResult:
    """The result of a run whose generations are done; its best individual is mounted for a sample."""
    champion, world = engine.world.champion, engine.world
    assert champion is not None  # at least one individual is healthy, so one was crowned
    table = tuple(
        IndividualSummary(row, each.id, each.start, each.fitness, each.turns, row == champion.row)
        for row, each in enumerate(world.population.individuals)
    )
    champion.load_into_(world.mounted)
    with calling(f"task {engine.config.task.name}: sample"):
        sample = engine.task.sample(world.mounted.module)
        generates, exports = engine.task.generates, engine.task.exports
    costs = world.costs(engine.info.tokens_per_step)
    return RunResult(
        table=table,
        best_row=champion.row,
        best_fitness=champion.fitness,
        best_generation=champion.generation,
        tokens=costs.tokens,
        seconds=costs.seconds,
        tokens_per_second=costs.tokens / max(world.progress.improve_seconds, 1e-9),
        peak_memory_bytes=costs.peak_memory_bytes,
        sample=sample,
        references=dict(engine.info.references),
        generates=generates,
        exports=exports,
        evaluations=world.progress.evaluations,
        ledger=asdict(costs),
        credit=credit_of(engine.run.read_lineage()),
        folder=engine.run.folder,
    )
