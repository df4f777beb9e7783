"""No picture and no sound may move: every time stamp of the output is the input's."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import clips
import media
import pytest
from clips import Clip
from passing import pass_through

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource

MILLISECOND = Fraction(1, 1000)

CLIPS = {
    "constant": Clip(audio=["eng", "ger"]),
    "B-frames": Clip(times=range(30), options={"bf": "3", "g": "12"}, audio=["eng"]),
    "no B-frames": Clip(options={"bf": "0"}, audio=["eng"]),
    "variable": Clip(
        times=[0, 100, 150, 400, 410, 900, 1000, 2400, 2500, 2600], time_base=MILLISECOND, audio=["eng"]
    ),
    "NTSC": Clip(
        times=range(0, 24 * 1001, 1001),
        time_base=Fraction(1, 30000),
        rate=Fraction(30000, 1001),
        audio=["eng"],
    ),
    "film in 90 kHz ticks": Clip(
        times=[round(n * Fraction(90000 * 1001, 24000)) for n in range(16)],
        time_base=Fraction(1, 90000),
        rate=Fraction(24000, 1001),
    ),
    "begins at five seconds": Clip(
        times=range(450000, 490000, 3600),
        time_base=Fraction(1, 90000),
        audio=["eng"],
        audio_start=Fraction(5),
    ),
    "sound begins later": Clip(times=range(30), audio=["eng"], audio_start=Fraction(1, 2)),
    "sound begins earlier": Clip(times=range(25, 50), audio=["eng"], audio_start=Fraction(0)),
    "one picture": Clip(times=[0], audio=["eng"]),
}


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_every_time_stamp_stays_in_mp4_and_mov(name: str, ending: str, tmp_path: Path) -> None:
    rainy = CLIPS[name].write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / f"clean.{ending}")
    before, after = media.read(rainy), media.read(tmp_path / f"clean.{ending}")
    assert after.times == before.times
    with FileSource(rainy) as one, FileSource(tmp_path / f"clean.{ending}") as other:
        assert other.info.time_base == one.info.time_base
    if name != "variable":  # these files hold no rate; what is reported follows from the last picture coded
        assert after.average_rate == before.average_rate
    assert [s.packets for s in after.others()] == [s.packets for s in before.others()]


@pytest.mark.parametrize("name", CLIPS)
def test_every_time_stamp_stays_from_matroska_to_matroska(name: str, tmp_path: Path) -> None:
    rainy = CLIPS[name].write(tmp_path / "rainy.mkv")
    pass_through(rainy, tmp_path / "clean.mkv")
    before, after = media.read(rainy), media.read(tmp_path / "clean.mkv")
    assert after.times == before.times
    assert after.average_rate == before.average_rate
    assert [s.packets for s in after.others()] == [s.packets for s in before.others()]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("ending, tick", [("mkv", MILLISECOND), ("ts", Fraction(1, 90000))])
def test_times_are_off_by_less_than_a_tick_of_a_coarser_container(
    name: str, ending: str, tick: Fraction, tmp_path: Path
) -> None:
    rainy = CLIPS[name].write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / f"clean.{ending}")
    before, after = media.read(rainy), media.read(tmp_path / f"clean.{ending}")
    assert close(after.times, before.times, tick)
    for one, other in zip(after.others(), before.others(), strict=True):
        assert close([t for t, _ in one.packets], [t for t, _ in other.packets], tick)


def close(after: Sequence[Fraction | None], before: Sequence[Fraction | None], tick: Fraction) -> bool:
    """Whether two lists of times agree within a tick."""
    pairs = list(zip(after, before, strict=True))
    return all(a is not None and b is not None and abs(a - b) < tick for a, b in pairs)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_an_edit_list_hides_the_same_pictures_and_sound(ending: str, tmp_path: Path) -> None:
    whole = CLIPS["B-frames"].write(tmp_path / "whole.mp4")
    rainy = clips.remux(whole, tmp_path / "rainy.mp4", shift=-5)
    pass_through(rainy, tmp_path / f"clean.{ending}")
    before, after = media.read(rainy), media.read(tmp_path / f"clean.{ending}")
    assert len(before.times) == 25
    assert after.times == before.times
    tick = Fraction(0) if ending == "mp4" else MILLISECOND
    sounds = zip(after.others()[0].packets, before.others()[0].packets, strict=True)
    for (after_time, after_payload), (before_time, before_payload) in sounds:
        assert after_time is not None and before_time is not None
        assert abs(after_time - before_time) <= tick and after_payload == before_payload


def test_pictures_of_an_avi_go_in_and_come_out_by_their_number(tmp_path: Path) -> None:
    rainy = Clip(codec="mpeg4", audio=["eng"], audio_codec="pcm_s16le").write(tmp_path / "rainy.avi")
    pass_through(rainy, tmp_path / "clean.avi")
    before, after = media.read(rainy), media.read(tmp_path / "clean.avi")
    assert after.times == before.times
    assert [p for _, p in after.others()[0].packets] == [p for _, p in before.others()[0].packets]


def test_an_avi_cannot_hold_uneven_times_and_says_so(tmp_path: Path) -> None:
    rainy = CLIPS["variable"].write(tmp_path / "rainy.mp4")
    with pytest.raises(DerainError, match="and can't hold one at"):
        pass_through(rainy, tmp_path / "clean.avi", drop_unsupported=True)
    assert [path.name for path in tmp_path.iterdir()] == ["rainy.mp4"]


def test_times_stay_in_webm_with_opus(tmp_path: Path) -> None:
    clip = Clip(codec="libvpx-vp9", options={"deadline": "realtime"}, audio=["eng"], audio_codec="libopus")
    rainy = clip.write(tmp_path / "rainy.webm")
    pass_through(rainy, tmp_path / "clean.webm")
    before, after = media.read(rainy), media.read(tmp_path / "clean.webm")
    assert after.times == before.times
    assert after.others() == before.others()


def test_packets_without_a_picture_are_not_taken_for_lost_ones(tmp_path: Path) -> None:
    not_coded = b"\x00\x00\x01\xb6\x50\xcf"  # MPEG-4's way to say "nothing new"

    def empty(number: int, packet: Any) -> Any:
        if number != 6:
            return packet
        replaced = av.Packet(not_coded)
        replaced.pts, replaced.dts, replaced.time_base = packet.pts, packet.dts, packet.time_base
        return replaced

    plain = Clip(codec="mpeg4", options={"bf": "0"}).write(tmp_path / "plain.mkv")
    rainy = clips.remux(plain, tmp_path / "rainy.mkv", change=empty)
    source = pass_through(rainy, tmp_path / "clean.mkv")
    assert media.read(tmp_path / "clean.mkv").times == [Fraction(n, 25) for n in range(12) if n != 6]
    assert (source.held, source.shortfall) == (0, None)


def test_raw_streams_without_times_play_at_their_rate(tmp_path: Path) -> None:
    rainy = Clip(times=range(30), options={"bf": "2"}).write(tmp_path / "rainy.h264")
    pass_through(rainy, tmp_path / "clean.mp4")
    assert media.read(tmp_path / "clean.mp4").times == [Fraction(n, 25) for n in range(30)]


def test_a_fragmented_file_keeps_its_times(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    rainy = Clip(times=range(40), options={"g": "10"}, container_options=options, audio=["eng"])
    rainy.write(tmp_path / "rainy.mp4")
    source = pass_through(tmp_path / "rainy.mp4", tmp_path / "clean.mp4")
    before, after = media.read(tmp_path / "rainy.mp4"), media.read(tmp_path / "clean.mp4")
    assert after.times == before.times
    assert [s.packets for s in after.others()] == [s.packets for s in before.others()]
    assert source.shortfall is None


@pytest.mark.parametrize("ending", ["mov", "mp4", "mkv"])
def test_a_timecode_stays(ending: str, tmp_path: Path) -> None:
    rainy = Clip(video_metadata={"timecode": "01:02:03:04"}).write(tmp_path / "rainy.mov")
    pass_through(rainy, tmp_path / f"clean.{ending}")
    before, after = media.read(rainy), media.read(tmp_path / f"clean.{ending}")
    assert after.streams[0].tags["timecode"] == "01:02:03:04"
    if ending != "mkv":
        assert [s.packets for s in after.others()] == [s.packets for s in before.others()]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_picture_lasts_until_the_next_one(ending: str, tmp_path: Path) -> None:
    rainy = CLIPS["variable"].write(tmp_path / f"rainy.{ending}")
    with FileSource(rainy) as source:
        frames = list(source)
    pts = [frame.pts or 0 for frame in frames]
    lasting = [later - earlier for earlier, later in pairwise(pts)]
    assert [frame.duration for frame in frames][:-1] == lasting
    assert frames[-1].duration > 0


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_last_picture_lasts_as_long_as_it_should(ending: str, tmp_path: Path) -> None:
    rainy = Clip(times=range(5), options={"bf": "0"}).write(tmp_path / "rainy.mp4")
    target = tmp_path / f"clean.{ending}"
    with FileSource(rainy) as source, FileSink(target, source, options={"bf": "0"}) as sink:
        for frame in source:
            sink.write(replace(frame, duration=50 if frame.pts == 4 else 1))
    with av.open(str(target)) as container:
        assert container.duration == 2_160_000  # four of 0.04 s and one of two seconds


def before_zero(path: Path) -> Path:
    """An MPEG-TS whose first pictures lie before zero."""
    return Clip(
        times=[-9000 + n * 3600 for n in range(12)],
        time_base=Fraction(1, 90000),
        options={"bf": "0"},
        container_options={"mpegts_copyts": "1"},
    ).write(path)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_pictures_before_zero_are_refused_before_the_work(ending: str, tmp_path: Path) -> None:
    rainy = before_zero(tmp_path / "in.ts")
    with (
        FileSource(rainy) as source,
        pytest.raises(UsageError, match=r"begin at -0\.100 s, before zero.*name the output \.ts"),
    ):
        FileSink(tmp_path / f"out{ending}", source)
    assert [p.name for p in tmp_path.iterdir()] == ["in.ts"]


def test_pictures_before_zero_stay_in_mpeg_ts(tmp_path: Path) -> None:
    rainy = before_zero(tmp_path / "in.ts")
    pass_through(rainy, tmp_path / "out.ts")
    times = media.read(tmp_path / "out.ts").times
    assert times[0] == Fraction(-1, 10)
    assert times == media.read(rainy).times
