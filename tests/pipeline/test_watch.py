"""What a live source is held to be like from when its frames came, with no clock and no camera."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
import pytest

from derain.engines.engine import Pixels
from derain.pipeline.live.opening import SourceOptions
from derain.pipeline.live.seam import State
from derain.pipeline.sources.backoff import BackOff
from derain.pipeline.sources.hurry import LONG, Hurry
from derain.pipeline.sources.telling import Why
from derain.pipeline.sources.watch import GRACE, START, Stillness, Watch, alike
from derain.pipeline.sources.whole import MOST, Whole
from derain.pipeline.sources.words import Words

OPTIONS = SourceOptions(open_timeout=10, read_timeout=5, stall=2, frozen=20)


def picture(seed: int, height: int = 48) -> Pixels:
    return np.random.default_rng(seed).integers(0, 255, (height, 64, 3)).astype(np.uint8)


def watch(options: SourceOptions = OPTIONS) -> Watch:
    one = Watch(options, Stillness(), 0.0)
    one.began(1.0)
    return one


def test_a_source_that_gives_no_picture_is_given_up_when_its_time_is_over() -> None:
    one = watch()
    assert one.look(1 + 10 + GRACE).give_up is None
    over = one.look(1.1 + 10 + GRACE).give_up
    assert over is not None and over.text == "no picture came within 10 s"
    late = Watch(OPTIONS, Stillness(), 0.0).look(START + 0.1)
    assert late.give_up is not None


def test_pictures_that_stay_away_are_told_then_given_up_and_forgiven() -> None:
    one = watch()
    one.frame(picture(0), 0, False, 3.0)
    assert one.look(4.9).state is State.LIVE
    assert (one.look(5.1).state, one.look(5.1).give_up) == (State.STALLED, None)
    assert one.look(3.1 + 5 + GRACE).give_up is not None
    one.frame(picture(1), 1, False, 6.0)
    assert one.look(6.1).state is State.LIVE
    assert one.lived == 3.0


def test_one_and_the_same_picture_is_told_but_not_where_it_moves_or_was_held() -> None:
    one = watch()
    for second in range(30):
        one.frame(picture(0), second, False, float(second))
    seen = one.look(29.0)
    assert seen.state is State.FROZEN and seen.give_up is not None and seen.give_up.why is Why.STILL
    one.frame(picture(1), 30, False, 30.0)
    assert one.look(30.0).state is State.LIVE
    for second in range(31, 60):
        one.frame(picture(1), second, True, float(second))
    assert one.look(59.0).state is State.FROZEN  # held pictures are no movement


def test_time_stamps_that_stand_still_are_told() -> None:
    one = watch()
    for second in range(30):
        one.frame(picture(second), 7, False, float(second))
    assert one.look(29.0).said == "the time stamps stand still for 20 s"


def test_a_stream_without_time_stamps_is_not_frozen_for_that() -> None:
    one = watch()
    for second in range(30):
        one.frame(picture(second), None, False, float(second))
    assert one.look(29.0).state is State.LIVE


def test_what_is_switched_off_is_never_told() -> None:
    one = watch(SourceOptions(stall=0, frozen=0, read_timeout=1000))
    one.frame(picture(0), 0, False, 1.0)
    one.frame(picture(0), 0, False, 100.0)
    assert one.look(900.0).state is State.LIVE


@pytest.mark.parametrize("height", [1, 48, 500])
def test_pictures_are_alike_whatever_coding_did_and_unlike_where_one_pixel_is(height: int) -> None:
    one = picture(0, height).clip(10, 245)
    other = one.copy()
    other[::2] += 2
    assert alike(one, other)
    other[-1, -2] += 9
    assert not alike(one, other)
    assert not alike(one, one[:, :-1]) and not alike(one, one.astype(np.uint16))


@dataclass
class Decoded:
    """What a decoder says of a picture."""

    is_corrupt: bool = False
    key_frame: bool = False


def test_after_damage_nothing_is_shown_until_a_whole_key_frame() -> None:
    one = Whole()
    assert one.shows(Decoded(), 0.0)
    one.damage(1.0)
    assert not one.shows(Decoded(), 1.1)
    assert not one.shows(Decoded(is_corrupt=True, key_frame=True), 1.2)
    assert not one.shows(Decoded(), 1.3)
    assert one.shows(Decoded(key_frame=True), 1.4)
    assert one.shows(Decoded(), 1.5)


def test_a_stream_without_key_frames_is_shown_again_after_a_while() -> None:
    one = Whole()
    one.damage(1.0)
    assert not one.shows(Decoded(), MOST)
    assert one.shows(Decoded(), 1.0 + MOST)
    assert one.shows(Decoded(), 1.1 + MOST)


def test_retries_come_soon_then_ever_later_each_time_at_another_moment() -> None:
    options = SourceOptions(retry_first=0.5, retry_from=1, retry_most=8, retry_refused=60)
    waits = BackOff(options, np.random.default_rng(3))
    drawn = [waits.next(0.0, False) for _ in range(8)]
    for wait, usual in zip(drawn, (0.5, 1, 2, 4, 8, 8, 8, 8), strict=True):
        assert 0.75 * usual <= wait <= 1.25 * usual
    assert len(set(drawn)) == 8
    assert waits.next(0.0, True) >= 45
    again = BackOff(options, np.random.default_rng(3))
    assert [again.next(0.0, False) for _ in range(8)] == drawn


def test_retries_begin_anew_behind_a_connection_that_lasted_but_not_behind_a_short_one() -> None:
    waits = BackOff(SourceOptions(retry_first=0.5, retry_from=1, retry_most=30), np.random.default_rng(3))
    for _ in range(6):
        waits.next(0.1, False)
    assert waits.next(0.1, False) > 8
    assert waits.next(3600.0, False) < 1


def decoded(hurry: Hurry, waited: float, start: float, key_every: int, count: int) -> list[int]:
    """Which of `count` packets, 0.05 s apart from `start` on, are decoded."""
    times = [(number, start + 0.05 * number) for number in range(count)]
    return [number for number, now in times if hurry.takes(waited, number % key_every == 0, now)]


def test_a_stream_that_is_waited_for_is_decoded_whole() -> None:
    assert decoded(Hurry(0.0), 0.01, 0.0, 20, 200) == list(range(200))


def test_a_stream_that_comes_too_fast_is_decoded_at_its_key_frames_until_it_is_waited_for_again() -> None:
    hurry = Hurry(0.0)
    assert decoded(hurry, 0.0, 0.0, 20, 121) == [*range(61), 80, 100, 120]
    assert not hurry.takes(0.01, False, 6.05)  # what it rests on was left out
    assert decoded(hurry, 0.01, 6.1, 20, 40) == list(range(40))


def test_of_pictures_that_are_all_key_frames_some_are_decoded() -> None:
    late = [number for number in decoded(Hurry(0.0), 0.0, 0.0, 1, 200) if 0.05 * number > LONG]
    assert 30 <= len(late) <= 45


@pytest.fixture
def words() -> Iterator[Words]:
    """What FFmpeg says is listened to, and not any more afterwards."""
    logger = logging.getLogger("libav")
    before = (logger.level, logger.propagate)
    one = Words()
    yield one
    logger.removeHandler(one)
    logger.level, logger.propagate = before
    av.logging.set_level(None)
    av.logging.set_skip_repeated(True)


def test_ffmpeg_is_listened_to_for_lost_packets_and_for_reasons(words: Words) -> None:
    av.logging.log(av.logging.WARNING, "rtsp", "RTP: missed 3 packets\n")
    assert (words.lost(), words.lost()) == (True, False)
    av.logging.log(av.logging.ERROR, "tcp", "Failed to resolve hostname cam: Name or service not known\n")
    av.logging.log(av.logging.WARNING, "h264", "something failed, which is no reason")
    assert words.reason == "Failed to resolve hostname cam: Name or service not known"
    assert not words.lost()
