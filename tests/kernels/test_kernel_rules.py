"""What each operator promises, exactly, for every finite float32: ends, fixed points, hulls, limits."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import FINITE_EXTREMES, LARGEST, SEED, call, generator, pairs, same_bytes, values

from evoweights_kernels import adamw_scalars, apply_, bodies

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(st.tuples(finite, finite), min_size=1, max_size=40).map(
    lambda rows: tuple(torch.tensor(rows, dtype=torch.float32).T.contiguous())
)
probabilities = st.floats(0.0, 1.0)
coefficients = st.floats(0.0, 4.0, width=32)


def applied(kernel, tensors, scalars=None, streams=None, *, seed=SEED):
    """What the call writes: the target, then the states; the inputs stay."""
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    apply_([call(kernel, copies, scalars, streams)], seed=seed)
    results = [copies[name] for name in kernel.written]
    return results[0] if len(results) == 1 else results


def crossed(x, other, take, **options):
    return applied(bodies.uniform_crossover, {"x": x, "other": other}, {"take": take}, **options)


def blended(x, other, weight):
    return applied(bodies.arithmetic_crossover, {"x": x, "other": other}, {"weight": weight})


def mutated(x, *, sigma, touched, scale=1.0, **options):
    table = torch.full((-(-x.numel() // 1024),), scale)
    return applied(bodies.gaussian_mutation, {"x": x, "scale": table}, {"sigma": sigma, "touched": touched}, **options)


def mutated_all(x, *, sigma, scale=1.0, **options):
    table = torch.full((-(-x.numel() // 1024),), scale)
    return applied(bodies.gaussian_mutation_of_all, {"x": x, "scale": table}, {"sigma": sigma}, **options)


def swarmed(x, best, leader, velocity, **coefficients_):
    scalars = {"inertia": 0.0, "cognitive": 0.0, "social": 0.0, "max_velocity": math.inf} | coefficients_
    tensors = {"x": x, "personal_best": best, "leader": leader, "velocity": velocity}
    return applied(bodies.pso, tensors, scalars)


def drawn_towards(x, leader, social, **options):
    return applied(bodies.pso_towards, {"x": x, "leader": leader}, {"social": social}, **options)


@given(vectors, probabilities)
def test_crossover_takes_every_gene_from_a_parent(parents, take):
    x, other = parents
    child = crossed(x, other, take).view(torch.int32)
    assert bool(((child == x.view(torch.int32)) | (child == other.view(torch.int32))).all())
    assert same_bytes(crossed(x, other, 0.0), x)
    assert same_bytes(crossed(x, other, 1.0), other)
    assert same_bytes(crossed(x, x, take), x)


@given(vectors, probabilities)
def test_two_crossovers_with_one_stream_share_out_the_parents(parents, take):
    x, other = parents
    first, second = crossed(x, other, take), crossed(other, x, take)
    both = torch.stack((first, second)).view(torch.int32).sort(dim=0).values
    assert torch.equal(both, torch.stack((x, other)).view(torch.int32).sort(dim=0).values)


def test_crossover_takes_the_share_asked_for_gene_by_gene():
    x, other = torch.zeros(200_000), torch.ones(200_000)
    taken = crossed(x, other, 0.6)
    deviation = math.sqrt(0.24 / 200_000)
    assert abs(float(taken.mean()) - 0.6) < 5 * deviation
    blocks = taken.view(-1, 100).sum(dim=1)
    assert abs(float(blocks.var()) / 24.0 - 1.0) < 5 * math.sqrt(2 / 2000)


def test_nan_of_a_parent_appears_only_where_it_is_taken():
    x, other = torch.zeros(5000), torch.full((5000,), math.nan)
    assert 0 < int(crossed(x, other, 0.5).isnan().sum()) < 5000
    assert not crossed(x, other, 0.0).isnan().any()


@given(vectors, st.lists(st.floats(0.0, 1.0, width=32), min_size=2, max_size=4))
def test_arithmetic_crossover_stays_between_its_parents_and_moves_one_way(parents, weights):
    for x, other in (parents, pairs()):
        children = [blended(x, other, weight) for weight in (0.0, *sorted(weights), 1.0)]
        assert same_bytes(children[0], x) and same_bytes(children[-1], other)
        rises = other >= x
        for before, after in pairwise(children):
            assert bool(torch.where(rises, after >= before, after <= before).all())


@given(vectors, st.floats(0.0, 1.0, width=32))
def test_arithmetic_crossover_lands_where_its_weight_says_also_where_the_difference_overflows(parents, weight):
    for x, other in (parents, pairs()):
        exact = (1.0 - weight) * x.double() + weight * other.double()
        size = torch.maximum(x.abs(), other.abs()).double()
        assert bool(((blended(x, other, weight) - exact).abs() <= 1e-6 * size + 1e-44).all())


@given(vectors, st.floats(0.0, 1.0, width=32))
def test_arithmetic_crossover_of_equal_parents_is_the_parent(parents, weight):
    for x in (parents[0], torch.tensor(FINITE_EXTREMES)):
        for kernel, other in ((bodies.arithmetic_crossover, "other"), (bodies.mix, "leader")):
            assert same_bytes(applied(kernel, {"x": x, other: x}, {"weight": weight}), x)


def test_arithmetic_crossover_keeps_its_promises_to_the_last_bit():
    rng = generator(8)
    x = torch.randn(2000, generator=rng)
    for other in (torch.randn(2000, generator=rng), x + 1e-6 * torch.rand(2000, generator=rng)):
        low, high = torch.minimum(x, other), torch.maximum(x, other)
        before = x
        for weight in (0.25, 0.499999, 0.5, 0.50000006, 0.500001, 0.7, 0.7000001, 1.0 - 2.0**-23, 1.0 - 2.0**-24, 1.0):
            child = blended(x, other, weight)
            assert bool(((low <= child) & (child <= high)).all())
            assert bool(torch.where(other >= x, child >= before, child <= before).all()), weight
            before = child


@given(vectors, st.floats(0.125, 8.0, width=32))
def test_arithmetic_crossover_never_goes_beyond_its_parents(parents, beyond):
    x, other = parents
    assert torch.equal(blended(x, other, 1.0 + beyond), other)
    assert torch.equal(blended(x, other, -beyond), x)


def test_arithmetic_crossover_commutes_with_powers_of_two():
    rng = generator()
    x, other = torch.randn(1000, generator=rng), torch.randn(1000, generator=rng)
    assert same_bytes(blended(4.0 * x, 4.0 * other, 0.3), 4.0 * blended(x, other, 0.3))


@given(vectors, vectors, coefficients, coefficients, coefficients)
def test_a_swarm_never_makes_nan_of_finite_genes(a, b, inertia, cognitive, social):
    size = min(a[0].numel(), b[0].numel())
    rows = [t[:size].contiguous() for t in (*a, *b)]
    edges = [*pairs(), *(t.flip(0) for t in pairs())]
    for x, best, leader, velocity in (rows, edges):
        moved, speed = swarmed(x, best, leader, velocity, inertia=inertia, cognitive=cognitive, social=social)
        assert not moved.isnan().any() and not speed.isnan().any()


@given(vectors)
def test_a_swarm_without_coefficients_rests(rows):
    x, velocity = rows
    for place, speed in ((x, velocity), pairs()):
        moved, after = swarmed(place, place.flip(0), -place, speed)
        assert same_bytes(moved, place) and not after.any()


@given(vectors)
def test_a_swarm_of_pure_inertia_moves_by_its_velocity(rows):
    x, velocity = rows
    for place, speed in ((x, velocity), pairs()):
        moved, after = swarmed(place, place.flip(0), -place, speed, inertia=1.0)
        assert same_bytes(after, speed)
        assert torch.equal(moved, place + speed) and same_bytes(moved[speed == 0], place[speed == 0])


@given(vectors, coefficients, coefficients, coefficients)
def test_a_particle_at_rest_on_both_bests_stays(rows, inertia, cognitive, social):
    for x in (rows[0], torch.tensor(FINITE_EXTREMES)):
        rest = torch.zeros_like(x)
        moved, after = swarmed(x, x, x, rest, inertia=inertia, cognitive=cognitive, social=social)
        assert same_bytes(moved, x) and same_bytes(after, rest)


@given(vectors, st.floats(0.0, 3.0, width=32))
def test_velocities_keep_their_limit(rows, limit):
    x, velocity = rows
    moved, after = swarmed(x, -x, velocity, velocity, inertia=1.0, cognitive=2.0, social=2.0, max_velocity=limit)
    assert bool((after.abs() <= limit).all())
    if limit == 0.0:
        assert same_bytes(moved, x)


def test_swarm_forces_add_up_and_average_half_their_coefficients():
    count = 200_000
    x, best, leader = torch.zeros(count), torch.ones(count), torch.full((count,), -2.0)
    velocity = torch.full((count,), 0.25)
    parts = [
        swarmed(x, best, leader, velocity, **{name: 1.5})[1].double() for name in ("inertia", "cognitive", "social")
    ]
    _, total = swarmed(x, best, leader, velocity, inertia=1.5, cognitive=1.5, social=1.5)
    assert torch.allclose(total.double(), sum(parts), rtol=1e-6, atol=1e-6)
    expected = 1.5 * 0.25 + 0.75 * 1.0 + 0.75 * -2.0
    assert abs(float(total.double().mean()) - expected) < 5 * math.sqrt((1.5**2 / 12) * 5 / count)


def test_swarms_do_not_depend_on_where_the_origin_lies():
    rng = generator(2)
    x, best, leader, velocity = (torch.randn(500, generator=rng) for _ in range(4))
    strengths = {"inertia": 0.7, "cognitive": 1.4, "social": 1.4}
    moved, after = swarmed(x, best, leader, velocity, **strengths)
    scaled = swarmed(4 * x, 4 * best, 4 * leader, 4 * velocity, **strengths)
    assert same_bytes(scaled[0], 4 * moved) and same_bytes(scaled[1], 4 * after)
    shifted = swarmed(x + 8.0, best + 8.0, leader + 8.0, velocity, **strengths)
    assert torch.allclose(shifted[1], after, atol=1e-5) and torch.allclose(shifted[0], moved + 8.0, atol=1e-5)


@given(vectors, coefficients)
def test_steps_towards_a_leader_have_fixed_points_and_never_make_nan(rows, social):
    x, leader = rows
    for place, goal in ((x, leader), pairs()):
        assert same_bytes(drawn_towards(place, place, social), place)
        assert same_bytes(drawn_towards(place, goal, 0.0), place)
        assert not drawn_towards(place, goal, social).isnan().any()


def test_an_eoe_event_has_the_published_statistics():
    count = 1 << 20
    x, head = torch.zeros(count), torch.ones(count)
    moved = drawn_towards(x, head, 2.0).double()
    assert abs(float(moved.mean()) - 1.0) < 0.005
    assert abs(float((moved - 1).square().mean().sqrt()) - 0.3324) < 0.002
    assert abs(float((moved == 0).double().mean()) - 0.00135) < 5 * math.sqrt(0.00135 / count)
    assert float(moved.min()) >= 0.0 and float(moved.max()) <= 2.0 + 1e-6
    apply_(
        [
            call(bodies.pso_towards, {"x": x, "leader": head}, {"social": 2.0}),
            call(bodies.uniform_crossover, {"x": x, "other": head}, {"take": 0.6}),
        ],
        seed=SEED,
    )
    assert abs(float((x == 1).double().mean()) - 0.6) < 5 * math.sqrt(0.24 / count)
    assert abs(float((x.double() - 1).square().mean().sqrt()) - 0.2102) < 0.002
    assert head.unique().tolist() == [1.0]


@given(vectors, st.floats(0.0, 2.0**100, width=32), probabilities)
def test_mutation_without_noise_or_chance_is_the_identity(rows, size, touched):
    for x in (rows[0], torch.tensor(FINITE_EXTREMES)):
        assert same_bytes(mutated(x, sigma=0.0, touched=touched, scale=size), x)
        assert same_bytes(mutated(x, sigma=size, touched=0.0), x)
        assert same_bytes(mutated(x, sigma=0.0, touched=1.0, scale=math.inf), x)
        assert not mutated(x, sigma=size, touched=1.0, scale=LARGEST).isnan().any()


def test_a_noise_of_zero_changes_nothing_however_large_the_deviation():
    x, zero = torch.tensor([1.0, -0.0]), torch.zeros(2)
    always = torch.ones(2, dtype=torch.bool)
    assert same_bytes(bodies.gaussian_mutation(x, torch.tensor(LARGEST), torch.tensor(10.0), always, zero), x)


def test_mutation_touches_its_share_and_adds_a_normal_of_its_size():
    count = 200_000
    change = mutated(torch.zeros(count), sigma=0.5, touched=0.3, scale=0.5).double()
    touched = change[change != 0]
    assert abs(touched.numel() / count - 0.3) < 5 * math.sqrt(0.21 / count)
    assert abs(float(touched.mean())) < 5 * 0.25 / math.sqrt(touched.numel())
    assert abs(float(touched.std()) / 0.25 - 1.0) < 5 / math.sqrt(2 * touched.numel())


def test_mutation_scales_exactly_and_mirrors_with_the_sign_of_sigma():
    x = torch.zeros(3000)
    once, twice, mirrored = (mutated(x, sigma=sigma, touched=0.5) for sigma in (0.25, 0.5, -0.25))
    assert same_bytes(twice, 2.0 * once)
    assert torch.equal(mirrored, -once)


def test_mutation_takes_its_scale_from_each_gene_s_tile():
    x, table = torch.zeros(2048), torch.tensor([1.0, 4.0])
    plain = mutated(x, sigma=0.5, touched=1.0)
    scaled = applied(bodies.gaussian_mutation, {"x": x, "scale": table}, {"sigma": 0.5, "touched": 1.0})
    assert same_bytes(scaled[:1024], plain[:1024]) and same_bytes(scaled[1024:], 4.0 * plain[1024:])


def adamw_steps(x, gradients, **settings):
    chosen = {"learning_rate": 1e-3, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8} | settings
    tensors = {"x": x.clone(), "first_moment": torch.zeros_like(x), "second_moment": torch.zeros_like(x)}
    for step, gradient in enumerate(gradients, start=1):
        scalars = adamw_scalars(**chosen, step=step)
        apply_([call(bodies.adamw, {**tensors, "gradient": gradient}, scalars)], seed=0)
    return tensors


def torch_adamw(x, gradients):
    parameter = torch.nn.Parameter(x.clone())
    optimizer = torch.optim.AdamW([parameter], lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-8)
    for gradient in gradients:
        parameter.grad = gradient.to(x.dtype)
        optimizer.step()
    state = optimizer.state[parameter]
    return {"x": parameter.detach(), "first_moment": state["exp_avg"], "second_moment": state["exp_avg_sq"]}


def test_adamw_is_as_close_to_exact_after_fifty_steps_as_torch_is():
    rng = generator(5)
    x = torch.randn(2000, generator=rng)
    gradients = [torch.randn(2000, generator=rng) for _ in range(50)]
    exact, theirs, ours = torch_adamw(x.double(), gradients), torch_adamw(x, gradients), adamw_steps(x, gradients)
    for name, truth in exact.items():
        allowed = 4.0 * (theirs[name] - truth).abs().mean() + 1e-9
        assert (ours[name] - truth).abs().mean() <= allowed, name
        assert torch.allclose(ours[name].double(), truth, rtol=1e-5, atol=5e-6), name


def test_adamw_without_gradient_only_decays_and_without_rate_only_remembers():
    x = values(1500, rng=generator(6), extremes=(0.0, 1.0, -1e-30))
    decayed = adamw_steps(x, [torch.zeros(1500)])["x"]
    assert same_bytes(decayed, x - x * torch.tensor(1e-3 * 0.1))
    still = adamw_steps(x, [torch.randn(1500, generator=generator(7))], learning_rate=0.0, weight_decay=0.0)
    assert torch.equal(still["x"], x) and bool((still["first_moment"] != 0).all())


@pytest.mark.parametrize(
    "settings", [{"step": 0}, {"step": 1, "beta1": 1.0}, {"step": 1, "beta2": -0.1}, {"step": 1, "beta2": 1.5}]
)
def test_adamw_refuses_impossible_settings(settings):
    with pytest.raises(ValueError, match=r"AdamW (counts steps from 1, found 0|takes betas within \[0, 1\), found )"):
        adamw_scalars(
            **({"learning_rate": 1e-3, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.9, "eps": 1e-8} | settings)
        )


@given(vectors, st.floats(-2.0, 2.0, width=32))
def test_mutation_of_all_genes_is_mutation_with_probability_one(parents, sigma):
    x, _ = parents
    assert same_bytes(mutated_all(x, sigma=sigma), mutated(x, sigma=sigma, touched=1.0))
