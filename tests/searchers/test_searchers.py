"""What holds for every searcher in every space: one step is one generation, and nothing but tensors lies between two."""

import math
import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import safetensors.torch
import torch
from searchers_under_test import Feed, bits, genes, label, moment, mounted_, searchers, squared, state, stepped

from evoweights.improvers import NonFiniteStep, Replayable
from evoweights.storage.formats import from_json, tensor_chunks, to_json
from evoweights_evotorch.gaussian import GaussianSearcher
from evoweights_evotorch.populations import PopulationSearcher
from evoweights_evotorch.spaces import Genome, Subspace

ALL = list(searchers())
every_searcher = pytest.mark.parametrize("searcher", ALL, ids=label)
in_one_space = pytest.mark.parametrize("searcher", [each for each in ALL if isinstance(each.space, Genome)], ids=label)


@every_searcher
def test_it_makes_the_individual_better_by_its_scores_alone(searcher):
    mounted, feed, reports = mounted_(searcher), Feed(), []
    frozen, before = mounted.module.still.clone(), squared(mounted)
    losses = stepped(searcher, mounted, feed, range(1, 16), reports=reports)
    if getattr(searcher, "ranking", "nes") != "raw":  # all losses are positive, so raw weights say little
        assert squared(mounted) < before
    assert torch.equal(mounted.module.still, frozen)
    assert feed.asked == sum(len(each["losses"]) for each in reports)
    for loss, each in zip(losses, reports, strict=True):
        assert loss == each["mean_loss"] == pytest.approx(np.mean(each["losses"]))
        assert each["best_loss"] == min(each["losses"])
        assert each["spread"] == pytest.approx(np.std(each["losses"]))
        assert (each["failed_members"], each["restarted"]) == (0, False)
        assert from_json(to_json(each)) == each


@every_searcher
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_run_that_is_continued_from_what_was_saved_has_the_same_bits(searcher, dtype):
    """After every step all tensors go through a file, into another individual and another instance of the searcher."""
    whole = mounted_(searcher, dtype=dtype)
    expected = stepped(searcher, whole, Feed(), range(1, 6))
    mounted, made = mounted_(searcher, dtype=dtype), []
    for number in range(1, 6):
        made += stepped(type(searcher)(**vars(searcher)), mounted, Feed(), [number])
        saved = safetensors.torch.load(b"".join(bytes(each) for each in tensor_chunks(mounted.memory)))
        assert all(name.startswith("evotorch.") for name in saved)
        other = mounted_(searcher, dtype=dtype, seed=2)
        for part, into in zip(mounted.parts, other.parts, strict=True):
            into.weights.copy_(part.weights)
            for name, each in part.slots.items():
                into.slots[name].copy_(each)
        other.memory = saved
        other.refresh_()
        mounted = other
    assert made == expected
    assert state(mounted) == state(whole)


@every_searcher
def test_its_reports_alone_give_the_same_bits_again(searcher):
    assert isinstance(searcher, Replayable)
    reports, mounted = [], mounted_(searcher)
    feed = Feed(lambda losses, number: losses * (math.nan if number % 5 == 3 else 1))
    stepped(searcher, mounted, feed, range(1, 6), reports=reports)
    again = mounted_(searcher)
    for number, report in enumerate(reports, 1):
        searcher.replay(again, moment(number), from_json(to_json(report)))
    assert state(again) == state(mounted)


@every_searcher
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_generation_without_a_finite_loss_changes_nothing(searcher, bad):
    mounted = mounted_(searcher)
    stepped(searcher, mounted, Feed(), [1, 2])
    before = state(mounted)
    with pytest.raises(
        NonFiniteStep,
        match=r"none of the \d+ members has a finite loss|no member of the new population of \w+ has a finite loss",
    ):
        stepped(searcher, mounted, Feed(lambda losses, number: losses * 0 + bad), [3])
    assert state(mounted) == before
    fresh = mounted_(searcher)
    before = genes(fresh)
    with pytest.raises(NonFiniteStep):
        stepped(searcher, fresh, Feed(lambda losses, number: losses * bad), [1])
    assert genes(fresh) == before and not fresh.memory


@in_one_space
def test_an_evaluation_that_raises_leaves_the_weights_as_they_were(searcher):
    def fail(losses, number):
        if number == 3:
            raise RuntimeError("no more")
        return losses

    mounted = mounted_(searcher)
    before = genes(mounted)
    with pytest.raises(RuntimeError, match="no more"):
        stepped(searcher, mounted, Feed(fail), [1])
    assert genes(mounted) == before


@in_one_space
def test_a_member_without_a_loss_is_the_worst_and_counted(searcher):
    """Whatever the bad value, the result is that of a member that is worse than all others."""
    made = []
    for bad in (math.nan, math.inf):
        mounted, reports = mounted_(searcher), []
        feed = Feed(lambda losses, number, bad=bad: losses * bad if number in (2, 11) else losses)
        stepped(searcher, mounted, feed, range(1, 4), reports=reports)
        made.append(state(mounted))
        assert sum(each["failed_members"] for each in reports) == 2
        assert all(math.isfinite(each[key]) for each in reports for key in ("mean_loss", "spread", "best_loss"))
    assert made[0] == made[1]
    assert math.isfinite(squared(mounted))


@pytest.mark.parametrize("searcher", [each for each in ALL if not isinstance(each, PopulationSearcher)], ids=label)
def test_members_that_are_all_equal_say_nothing(searcher):
    """EvoTorch's rankings would make a direction of the order in which equal members happen to come."""
    mounted = mounted_(searcher)
    reports = []
    stepped(searcher, mounted, Feed(), [1])
    before = state(mounted)
    stepped(searcher, mounted, Feed(lambda losses, number: losses * 0 + 3.3333333), [2], reports=reports)
    assert state(mounted) == before
    assert reports[0]["all_equal"]


@every_searcher
def test_weights_that_others_have_changed_are_where_it_starts_again(searcher):
    mounted, reports = mounted_(searcher), []
    stepped(searcher, mounted, Feed(), [1, 2], reports=reports)
    with torch.no_grad():
        mounted.own.weights[2] += 1.0
    moved = mounted_(searcher)
    for part, into in zip(mounted.parts, moved.parts, strict=True):
        into.weights.copy_(part.weights)
    stepped(searcher, mounted, Feed(), [3], reports=reports)
    assert [each["restarted"] for each in reports] == [False, False, True]
    stepped(searcher, moved, Feed(), [3])
    assert state(mounted) == state(moved)


@in_one_space
def test_only_one_searcher_is_remembered(searcher):
    mounted = mounted_(searcher)
    mounted.memory = {"es.other": torch.ones(1), "evotorch.snes.0123.centre": torch.ones(3)}
    stepped(searcher, mounted, Feed(), [1])
    assert "es.other" in mounted.memory and "evotorch.snes.0123.centre" not in mounted.memory
    other = type(searcher)(**(vars(searcher) | {"stdev_init": 0.3}))
    names = set(mounted.memory)
    stepped(other, mounted, Feed(), [2])
    assert set(mounted.memory) & names == {"es.other"}


@in_one_space
def test_what_is_kept_is_not_written_to_by_the_next_generation(searcher):
    mounted = mounted_(searcher)
    stepped(searcher, mounted, Feed(), [1, 2])
    kept = dict(mounted.memory)
    before = {name: bits(each) for name, each in kept.items()}
    stepped(searcher, mounted, Feed(), [3])
    assert {name: bits(each) for name, each in kept.items()} == before


@pytest.mark.parametrize("searcher", [each for each in ALL if isinstance(each, PopulationSearcher)], ids=label)
def test_the_individual_is_the_best_of_the_population(searcher):
    mounted, feed = mounted_(searcher), Feed()
    before = squared(mounted)
    stepped(searcher, mounted, feed, range(1, 5))
    kept = {name.rpartition(".")[2]: each for name, each in mounted.memory.items()}
    assert float(kept["losses"][:, 0].min()) == pytest.approx(squared(mounted), rel=1e-12)
    assert len(kept["population"]) == (searcher.bins**2 if searcher.name == "map_elites" else searcher.popsize)
    assert feed.seen[0] == genes(mounted_(searcher))  # the first member is the individual as it was
    if getattr(searcher, "elitist", True):
        assert squared(mounted) < before


@pytest.mark.parametrize("searcher", [each for each in ALL if isinstance(each, GaussianSearcher)], ids=label)
def test_the_individual_is_the_centre_of_the_distribution(searcher):
    mounted = mounted_(searcher)
    stepped(searcher, mounted, Feed(), [1, 2])
    centre = next(each for name, each in mounted.memory.items() if name.endswith(".centre"))
    assert searcher.space.holds(mounted, centre, f"{searcher.name}.start", moment(3))


@in_one_space
def test_nothing_global_is_drawn_from_or_changed(searcher):
    import logging

    def world():
        return (
            bits(torch.random.get_rng_state()),
            str(np.random.get_state()),
            random.getstate(),
            list(warnings.filters),
            logging.getLogger("evotorch").level,
        )

    mounted = mounted_(searcher)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = world()
        stepped(searcher, mounted, Feed(), [1, 2])
        assert world() == before
    torch.rand(7)
    again = mounted_(searcher)
    stepped(searcher, again, Feed(), [1, 2])
    assert state(again) == state(mounted)


@in_one_space
def test_seeds_and_steps_make_a_difference(searcher):
    made = []
    for seed, first in ((5, 1), (6, 1), (5, 2)):
        mounted = mounted_(searcher)
        stepped(searcher, mounted, Feed(), [first, first + 1], seed=seed)
        made.append(genes(mounted))
    assert len(set(made)) == 3


@in_one_space
def test_one_instance_may_search_in_several_threads(searcher):
    def searched(seed, mounted):
        return stepped(searcher, mounted, Feed(), range(1, 4), seed=seed), state(mounted)

    alone = [searched(seed, mounted_(searcher, seed=seed)) for seed in range(3)]
    nets = [mounted_(searcher, seed=seed) for seed in range(3)]  # their weights are drawn from torch's global generator
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(searched, range(3), nets)) == alone


@in_one_space
def test_copies_in_another_type_are_what_is_scored(searcher):
    """Mixed precision: members are rounded from the float32 genome, which keeps what the copy cannot show."""
    mounted, feed = mounted_(searcher, compute=torch.bfloat16), Feed()
    stepped(searcher, mounted, feed, [1, 2])
    assert len(set(feed.seen)) > feed.asked // 2
    for part in mounted.parts:
        assert part.compute.dtype == torch.bfloat16
        assert torch.equal(part.compute, part.weights.bfloat16())
    mounted.refuse_written_copies(searcher.name)


def test_the_directions_of_a_subspace_are_those_of_the_individual_in_the_run():
    """An individual with another place has another subspace, so a searcher that is moved there begins again."""
    from evoweights_evotorch.gaussians import SNES

    searcher, reports = SNES(space=Subspace(size=4)), []
    mounted = mounted_(searcher)
    stepped(searcher, mounted, Feed(), [1], reports=reports)
    stepped(searcher, mounted, Feed(), [2], reports=reports, seed=9)
    assert [each["restarted"] for each in reports] == [False, True]
