import threading
import weakref

import pytest

from derain.pipeline.channel import CancelledError, Channel


def started(body: object) -> threading.Thread:
    assert callable(body)
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


def test_items_come_in_order_and_then_the_end() -> None:
    channel: Channel[int] = Channel(2)

    def produce() -> None:
        for number in range(100):
            channel.put(number)
        channel.finish()

    thread = started(produce)
    assert list(channel) == list(range(100))
    thread.join(5)
    assert not thread.is_alive()


def test_a_full_channel_holds_the_producer_back() -> None:
    channel: Channel[int] = Channel(2)
    put: list[int] = []

    def produce() -> None:
        for number in range(3):
            channel.put(number)
            put.append(number)

    thread = started(produce)
    thread.join(0.2)
    assert put == [0, 1]
    assert next(channel) == 0
    thread.join(5)
    assert put == [0, 1, 2]


@pytest.mark.parametrize("capacity", [0, 1])
def test_cancel_wakes_whoever_waits(capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)
    left: list[str] = []

    def wait() -> None:
        with pytest.raises(CancelledError):
            if capacity == 0:
                channel.put(1)
            else:
                next(channel)
        left.append("left")

    thread = started(wait)
    channel.cancel()
    thread.join(5)
    assert left == ["left"]


def test_cancel_drops_what_waits_inside() -> None:
    channel: Channel[set[int]] = Channel(2)
    item = {1}
    inside = weakref.ref(item)
    channel.put(item)
    del item
    channel.finish()
    channel.cancel()
    channel.cancel()
    assert inside() is None
    with pytest.raises(CancelledError):
        next(channel)
    with pytest.raises(CancelledError):
        channel.put({2})
