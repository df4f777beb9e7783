"""The latency contract, with an engine that is too slow and a clock that tests turn."""

from collections.abc import Callable

import pytest
from live_fakes import FakeCamera
from live_street import Street

from derain.engines.engine import Pixels
from derain.pipeline.live.contract import Contract, Step, ladder

BUDGET = 0.08


def by_pixels(seconds: float, whole: int = 16 * 12) -> Callable[[Pixels], float]:
    """`seconds` for a whole picture, less for less."""
    return lambda batch: seconds * batch.shape[0] * batch.shape[1] * batch.shape[2] / whole


def street(count: int, seconds: Callable[[Pixels], float], rate: float = 25) -> Street:
    cameras = [FakeCamera(f"camera-{number}", (16, 12)) for number in range(count)]
    return Street(cameras, [rate] * count, seconds, budget=BUDGET, steps=ladder())


def test_the_ladder_goes_from_networks_to_scales_to_rates_to_the_picture_itself() -> None:
    steps = ladder(["m", "s"], [0.6, 0.4])
    assert [(step.model, round(step.scale, 2), step.every, step.passes) for step in steps] == [
        (0, 1, 1, False),
        (1, 1, 1, False),
        (2, 1, 1, False),
        (2, 0.67, 1, False),
        (2, 0.5, 1, False),
        (2, 0.33, 1, False),
        (2, 0.33, 2, False),
        (2, 0.33, 3, False),
        (2, 0.33, 1, True),
    ]
    assert steps[0].words == ""
    assert steps[4].words == "the smaller network s, restored at 1/2 of the size"
    costs = [step.cost for step in steps]
    assert costs == sorted(costs, reverse=True)


def test_an_engine_that_is_quick_enough_is_left_alone() -> None:
    run = street(1, by_pixels(0.03))
    run.run(20)
    assert not run.moves
    assert {shown.steps for shown in run.shown} == {""}
    assert run.cameras[0].figures().late == 0


@pytest.mark.parametrize("seconds", [0.09, 0.2, 0.35, 0.7])
@pytest.mark.parametrize("count", [1, 3])
def test_the_budget_is_never_exceeded_for_more_than_a_second(seconds: float, count: int) -> None:
    run = street(count, by_pixels(seconds))
    run.run(12)
    for camera in run.cameras:
        assert run.longest_over(camera.name, BUDGET) <= 1.0
        settled = [latency <= BUDGET for _, latency in run.latencies(camera.name, run.clock() - 6)]
        assert sum(settled) / len(settled) > 0.9
    assert run.moves


def test_it_gives_up_no_more_than_it_must_and_says_each_step_once() -> None:
    run = street(1, by_pixels(0.075))
    run.run(10)
    assert [move.step.words for _, move in run.moves] == ["restored at 2/3 of the size"]
    assert run.moves[0][1].reason.endswith("ms of 80")
    assert run.shown[-1].steps == run.cameras[0].figures().steps == "restored at 2/3 of the size"


def test_no_engine_is_too_slow_for_the_picture_itself() -> None:
    run = street(1, lambda batch: 3.0)
    run.run(30)
    assert run.shown[-1].steps == "shown as it comes"
    assert run.shown[-1].restored is run.shown[-1].taken.frame.pixels
    figures = run.cameras[0].figures()
    assert figures.passed > 50 and figures.restored < 4


def test_what_is_given_up_is_taken_back_when_the_machine_is_free_again() -> None:
    load = [0.12]
    run = street(1, lambda batch: load[0] * batch.shape[1] * batch.shape[2] / (16 * 12))
    run.run(10)
    assert run.cameras[0].step.words
    load[0] = 0.02
    run.run(10)
    assert not run.cameras[0].step.words
    assert run.moves[-1][1].line().startswith("camera-0: nothing is given up any more (in time for ")


def test_it_does_not_go_up_and_down_all_the_time() -> None:
    """An engine whose work takes the same however small the picture: each step up is in vain."""
    run = street(1, lambda batch: 0.11 if batch.shape[1] > 4 else 0.01, rate=10)
    run.run(90)
    ups = [when for when, move in run.moves if not move.down]
    assert 1 <= len(ups) < 25
    assert ups[-1] - ups[-2] > 2 * (ups[1] - ups[0])


def test_a_single_late_frame_changes_nothing() -> None:
    hiccups = iter([0.01] * 40 + [0.15] + [0.01] * 1000)
    run = street(1, lambda batch: next(hiccups))
    run.run(10)
    assert not run.moves


def test_the_camera_that_takes_most_gives_up_first() -> None:
    large, small = FakeCamera("large", (32, 24)), FakeCamera("small", (8, 6))
    seconds = by_pixels(0.1, 32 * 24)
    run = Street([large, small], [25, 25], seconds, budget=BUDGET, steps=ladder())
    run.run(20)
    assert {move.camera for _, move in run.moves} == {"large"}
    assert run.longest_over("small", BUDGET) <= 1.0


def test_a_lower_rate_is_a_step_too() -> None:
    steps = (Step(), Step(every=3, cost=0.6, words="one frame in 3"), Step(passes=True, cost=0, words="none"))
    cameras = [FakeCamera("one", (16, 12)), FakeCamera("two", (16, 12))]
    run = Street(cameras, [25, 25], lambda batch: 0.05 * batch.shape[0], budget=BUDGET, steps=steps)
    run.run(20)
    assert any(move.step.every == 3 for _, move in run.moves)
    slow = next(camera for camera in run.cameras if camera.step.every == 3)
    figures = slow.figures()
    assert figures.dropped > figures.restored


def test_a_contract_knows_nothing_of_frames_that_were_long_ago() -> None:
    contract = Contract(BUDGET, ladder(), ["a"], 0.0)
    for now in (1.0, 1.1):
        contract.saw("a", now, 0.1, 0.1)
    assert contract.decide(1.1)
    assert not contract.decide(1.2), "frames of the step before do not count"
