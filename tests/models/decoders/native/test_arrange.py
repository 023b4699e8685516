import itertools

import pytest

from s2i_core.models.decoders.native.arrange import Spot, Stage, Thing, arrange
from s2i_core.models.decoders.native.kinds import Figure, Support

MEADOW = Stage(far=0.64, near=0.93, ceiling=0.55)
WATER = Stage(far=0.9, near=0.96, ceiling=0.9, floats=True)


def thing(
    key: int,
    size_m: float = 1.0,
    support: Support = "ground",
    told: tuple[float, float, float, float] | None = None,
    figure: Figure = "whole",
) -> Thing:
    return Thing(key, size_m, support, figure, (0.8, 1.0), may_turn=True, told=told)


def foot(place: Spot) -> float:
    return place.box[1] + place.box[3] / 2


def covered(a: Spot, b: Spot) -> float:
    (ax, ay, aw, ah), (bx, by, bw, bh) = a.box, b.box
    across = min(ax + aw / 2, bx + bw / 2) - max(ax - aw / 2, bx - bw / 2)
    down = min(ay + ah / 2, by + bh / 2) - max(ay - ah / 2, by - bh / 2)
    return max(0, across) * max(0, down) / min(aw * ah, bw * bh)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("aspect", [1.0, 16 / 9, 9 / 16])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_things_are_seen_within_the_frame(count: int, aspect: float, seed: int) -> None:
    for kinds in ([1.0] * 4, [0.02, 0.5, 20, 150], [12, 12, 0.1, 1.7]):
        places = arrange([thing(n, kinds[n]) for n in range(count)], MEADOW, seed, aspect)
        for x, y, w, h in (place.box for place in places):
            assert min(x - w / 2, y - h / 2, 1 - x - w / 2, 1 - y - h / 2) > -1e-6
            assert w * aspect / h == pytest.approx(0.8)
            assert max(w * aspect, h) > 0.1 * min(1, aspect), "none is too small to be made out"
        for one, other in itertools.combinations(places, 2):
            assert covered(one, other) < 0.32


def test_the_seed_decides_and_nothing_else_does() -> None:
    things = [thing(1, 0.5), thing(2, 12)]
    assert arrange(things, MEADOW, 3) == arrange(things, MEADOW, 3)
    assert len({arrange(things, MEADOW, seed) for seed in range(8)}) > 3
    assert arrange([], MEADOW, 0) == ()


def test_what_is_larger_in_the_world_is_larger_and_farther() -> None:
    for seed in range(6):
        bee, person, castle = arrange([thing(1, 0.02), thing(2, 1.7), thing(3, 25)], MEADOW, seed)
        assert bee.box[3] < person.box[3] < castle.box[3] < 4 * bee.box[3]
        assert foot(castle) < foot(person) <= foot(bee) + 0.06


def test_what_stands_stands_and_what_flies_flies() -> None:
    for seed in range(6):
        bird, sun, cat = arrange([thing(1, support="air"), thing(2, 40, "sky"), thing(3, 0.5)], MEADOW, seed)
        assert foot(bird) < MEADOW.ceiling + 0.01 and foot(sun) < MEADOW.ceiling + 0.01
        assert MEADOW.far - 0.01 <= foot(cat) <= MEADOW.near + 0.01
        assert (bird.aloft, sun.aloft, cat.aloft) == (True, True, False)
    (fish,) = arrange([thing(1, support="water")], WATER, 0)
    assert fish.aloft and foot(fish) < 0.95


def test_a_single_thing_is_off_the_middle_and_looks_into_the_picture() -> None:
    places = [arrange([thing(1, 0.5)], MEADOW, seed)[0] for seed in range(12)]
    assert all(0.03 < abs(place.box[0] - 0.5) < 0.25 for place in places)
    assert all(place.turned == (place.box[0] < 0.5) for place in places)
    assert {place.turned for place in places} == {True, False}


@pytest.mark.parametrize("seed", range(8))
def test_what_was_heard_of_order_holds(seed: int) -> None:
    left, right = (0.25, 0.6, 0.3, 0.4), (0.75, 0.6, 0.3, 0.4)
    for first, second in ((left, right), (right, left)):
        one, other = arrange([thing(1, 25, told=first), thing(2, 0.1, told=second)], MEADOW, seed)
        assert (one.box[0] < other.box[0]) == (first[0] < second[0])
    high, low = (0.5, 0.2, 0.3, 0.3), (0.5, 0.75, 0.3, 0.4)
    for stage in (MEADOW, WATER):
        one, other = arrange([thing(1, 1, "air", high), thing(2, 1, told=low)], stage, seed)
        assert one.box[1] < other.box[1] - 0.1
    near, far = (0.4, 0.75, 0.3, 0.4), (0.6, 0.5, 0.6, 0.6)
    one, other = arrange([thing(1, 5, told=near), thing(2, 5, told=far)], MEADOW, seed)
    assert foot(one) > foot(other) + 0.05


def test_what_was_heard_of_size_holds() -> None:
    big, small = (0.3, 0.6, 0.6, 0.6), (0.8, 0.7, 0.25, 0.25)
    one, other = arrange([thing(1, told=big), thing(2, told=small)], MEADOW, 0)
    same, alike = arrange([thing(1, told=small), thing(2, told=(0.3, 0.6, 0.25, 0.25))], MEADOW, 0)
    assert one.box[3] > 1.6 * other.box[3]
    assert same.box[3] == pytest.approx(alike.box[3])


@pytest.mark.parametrize("count", [2, 3, 4])
def test_several_of_a_kind_can_be_counted(count: int) -> None:
    for seed in range(6):
        places = arrange([thing(1, 1.2)] * count, MEADOW, seed)
        assert max(covered(*pair) for pair in itertools.combinations(places, 2)) < 0.05
        assert len({place.box[2] for place in places}) == 1


def test_half_a_figure_stands_below_the_frame() -> None:
    (bust,) = arrange([thing(1, 1.7, figure="bust")], MEADOW, 0)
    assert foot(bust) > 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_variants_differ_in_sides_and_sizes_and_the_first_is_the_picture_of_before(count: int) -> None:
    things = [thing(n, size_m) for n, size_m in enumerate((2.0, 0.4, 20, 1.0)[:count])]
    assert arrange(things, MEADOW, 5, variant=0) == arrange(things, MEADOW, 5)
    variants = [arrange(things, MEADOW, 5 + number, variant=number) for number in range(8)]
    for one, other in itertools.pairwise(variants):
        moved = max(abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x.box, y.box, strict=True))
        assert moved > 0.08, "seen side by side, nobody takes them for the same"
    for places in variants:
        assert all(
            min(x - w / 2, y - h / 2, 1 - x - w / 2, 1 - y - h / 2) > -1e-6 for x, y, w, h in (p.box for p in places)
        )


def test_what_was_heard_of_order_holds_in_every_variant() -> None:
    left, right = (0.25, 0.6, 0.3, 0.4), (0.75, 0.6, 0.3, 0.4)
    for number in range(8):
        one, other = arrange([thing(1, 25, told=left), thing(2, 0.1, told=right)], MEADOW, number, variant=number)
        assert one.box[0] < other.box[0]
