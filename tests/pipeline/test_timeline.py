"""Times that only go forward, whatever the stamps of a source do."""

from dataclasses import replace
from fractions import Fraction

import pytest
from live_outputs import Clock, shown, sound

from derain.pipeline.live.seam import Taken
from derain.pipeline.sinks.timeline import Timeline


def taken(pts: int | None, arrived: float = 0.0, epoch: int = 0) -> Taken:
    one = shown(0, epoch=epoch).taken
    return replace(one, frame=replace(one.frame, pts=pts), arrived=arrived)


def test_within_a_connection_distances_are_those_of_the_stamps() -> None:
    clock = Clock()
    line = Timeline(clock)
    clock.pass_(2)
    times = []
    for pts, late in ((1000, 0.0), (1001, 0.3), (1003, 0.0), (1004, 0.1)):
        times.append(line.place(taken(pts)))
        clock.pass_(late)
    assert times == pytest.approx([2, 2.04, 2.12, 2.16])


@pytest.mark.parametrize("pts", [0, 999, 10**9])
def test_where_stamps_jump_or_go_back_it_goes_on_at_the_clock(pts: int) -> None:
    clock = Clock()
    line = Timeline(clock)
    line.place(taken(1000))
    clock.pass_(5)
    assert line.place(taken(pts, arrived=0.04)) == pytest.approx(5)
    assert line.place(taken(pts + 1, arrived=0.08)) == pytest.approx(5.04)


def test_a_gap_in_the_stamps_as_long_as_the_wait_is_no_jump() -> None:
    clock = Clock()
    line = Timeline(clock)
    line.place(taken(0, arrived=10.0))
    clock.pass_(60)
    assert line.place(taken(1400, arrived=66.0)) == pytest.approx(56)


def test_frames_without_stamps_are_due_when_they_come() -> None:
    clock = Clock()
    line = Timeline(clock)
    clock.pass_(1)
    first = line.place(taken(None))
    assert first == pytest.approx(1)
    assert line.place(taken(None)) > first


def test_a_new_connection_never_goes_back() -> None:
    clock = Clock()
    line = Timeline(clock)
    line.place(taken(0))
    far = line.place(taken(24))
    assert line.place(taken(0, epoch=1)) > far


def test_packets_without_any_time_have_no_place() -> None:
    line = Timeline(Clock())
    packet = sound(0.2)[1][0]
    assert line.place_packet(packet) is None
    line.place(taken(0))
    assert line.place_packet(replace(packet, pts=None, dts=None)) is None
    assert line.place_packet(
        replace(packet, pts=None, dts=1600, time_base=Fraction(1, 16000))
    ) == pytest.approx(0.1)
