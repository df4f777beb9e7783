"""The place where the newest frame of a camera waits."""

import threading

import pytest
from live_fakes import FakeCamera

from derain.pipeline.live.slots import Slot


def test_the_newest_frame_takes_the_place_of_the_one_before() -> None:
    source, slot = FakeCamera(), Slot(threading.Condition())
    first, second = source.frame(1.0), source.frame(2.0)
    assert slot.put(first) is None
    assert slot.put(second) is first
    assert slot.waiting is second
    assert slot.take() is second
    assert slot.take() is None


def test_without_loss_the_source_waits() -> None:
    source, slot = FakeCamera(), Slot(threading.Condition(), "lossless")
    frames = [source.frame(float(number)) for number in range(5)]
    replaced: list[object] = []

    def give() -> None:
        replaced.extend(slot.put(frame) for frame in frames)

    thread = threading.Thread(target=give)
    thread.start()
    taken: list[object] = []
    while len(taken) < len(frames):
        if (frame := slot.take()) is not None:
            taken.append(frame)
    thread.join(10)
    assert taken == frames
    assert replaced == [None] * 5


@pytest.mark.parametrize("policy", ["live", "lossless"])
def test_once_closed_nobody_waits_and_what_is_there_can_be_taken(policy: str) -> None:
    source, slot = FakeCamera(), Slot(threading.Condition(), policy)  # type: ignore[arg-type]
    last = source.frame(1.0)
    slot.put(last)
    thread = threading.Thread(target=slot.put, args=(last if policy == "lossless" else source.frame(2.0),))
    if policy == "lossless":
        thread.start()  # it waits for the place
    slot.close()
    if policy == "lossless":
        thread.join(10)
        assert not thread.is_alive()
    assert slot.put(source.frame(3.0)) is None
    assert slot.take() is last
    assert slot.take() is None
