"""What lies beside the pictures comes along: streams, languages, tags, chapters, covers, fonts."""

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import media
import pytest
from av.stream import Disposition
from clips import Clip
from passing import pass_through

from derain.engines.errors import UsageError
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource


def both(rainy: Path, ending: str = "", **wishes: Any) -> tuple[media.Media, media.Media]:
    """A clip before and after."""
    clean = rainy.with_name("clean" + (ending or rainy.suffix))
    pass_through(rainy, clean, **wishes)
    return media.read(rainy), media.read(clean)


def test_two_sound_tracks_keep_language_and_disposition(tmp_path: Path) -> None:
    def mark(output: Any) -> Any:
        output.streams.audio[1].disposition = Disposition.hearing_impaired
        return lambda: None

    rainy = Clip(audio=["eng", "ger"], extras=mark).write(tmp_path / "rainy.mp4")
    before, after = both(rainy)
    assert [s.tags["language"] for s in after.others()] == ["eng", "ger"]
    assert after.others()[1].disposition & Disposition.hearing_impaired
    assert after.others() == before.others()


def test_streams_keep_their_order_where_sound_comes_first(tmp_path: Path) -> None:
    plain = Clip(audio=["eng"]).write(tmp_path / "plain.mp4")
    rainy = tmp_path / "rainy.mp4"
    with av.open(str(plain)) as original, av.open(str(rainy), "w") as output:
        copies = {
            s.index: output.add_stream_from_template(s, opaque=True) for s in reversed(list(original.streams))
        }
        for packet in original.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
    before, after = both(rainy)
    assert [s.kind for s in after.streams] == ["audio", "video"]
    assert after.others() == before.others()


@pytest.mark.parametrize("codec, ending", [("mov_text", ".mp4"), ("subrip", ".mkv")])
def test_subtitles_are_copied(codec: str, ending: str, tmp_path: Path) -> None:
    rainy = Clip(
        times=[0, 100, 150, 400, 410, 900, 1000, 2400, 2500, 2600],
        time_base=Fraction(1, 1000),
        audio=["eng"],
        subtitles=[0.1, 1.0],
        subtitle_codec=codec,
    ).write(tmp_path / f"rainy{ending}")
    before, after = both(rainy)
    assert any(clips.SUBTITLE in payload for _, payload in before.others()[1].packets)
    assert after.others() == before.others()


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_chapters_and_tags_are_copied(ending: str, tmp_path: Path) -> None:
    rainy = Clip(
        chapters=[(0, 0.2, "dry"), (0.2, 0.48, "wet")],
        metadata={"title": "A drive", "artist": "Someone", "comment": "in the rain"},
        video_metadata={"language": "fin"},
    ).write(tmp_path / f"rainy{ending}")
    before, after = both(rainy)
    assert [title for _, _, title in after.chapters] == ["dry", "wet"]
    assert after.chapters == before.chapters
    assert {"title", "artist", "comment"} <= set(after.tags)
    assert after.tags == before.tags
    assert after.streams[0].tags["language"] == "fin"


def test_tags_that_only_phones_know_survive_in_mp4(tmp_path: Path) -> None:
    tags = {"com.apple.quicktime.make": "Phone", "title": "A walk"}
    rainy = Clip(metadata=tags, container_options={"movflags": "use_metadata_tags"}).write(
        tmp_path / "rainy.mp4"
    )
    before, after = both(rainy)
    assert before.tags["com.apple.quicktime.make"] == "Phone"
    assert after.tags["com.apple.quicktime.make"] == "Phone"
    assert after.tags["title"] == "A walk"


def test_tags_that_tell_of_the_old_coding_are_not_copied(tmp_path: Path) -> None:
    tags = {"BPS": "123456", "_STATISTICS_WRITING_APP": "old", "NUMBER_OF_FRAMES": "7", "title": "front"}
    rainy = Clip(video_metadata=tags).write(tmp_path / "rainy.mkv")
    _, after = both(rainy)
    assert after.streams[0].tags["title"] == "front"
    assert not {"bps", "_statistics_writing_app", "number_of_frames"} & set(after.streams[0].tags)


def test_fonts_are_copied(tmp_path: Path) -> None:
    rainy = Clip(extras=clips.attachment).write(tmp_path / "rainy.mkv")
    before, after = both(rainy)
    assert before.attachments[0][0] == "rain.ttf"
    assert after.attachments == before.attachments


@pytest.mark.parametrize("before_ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_covers_are_copied(before_ending: str, ending: str, tmp_path: Path) -> None:
    rainy = Clip(audio=["eng"], extras=clips.cover).write(tmp_path / "first.mp4")
    if before_ending == ".mkv":
        pass_through(rainy, tmp_path / "second.mkv")
        rainy = tmp_path / "second.mkv"
    before, after = both(rainy, ending)
    covers = [[s for s in m.streams if s.disposition & Disposition.attached_pic] for m in (before, after)]
    assert covers[0][0].packets[0][1] == clips.jpeg()
    assert covers[1][0].packets[0][1] == clips.jpeg()
    assert len(after.times) == len(before.times)


def test_data_is_copied(tmp_path: Path) -> None:
    def telemetry(output: Any) -> Any:
        stream = output.add_data_stream("klv")
        stream.time_base = Fraction(1, 90000)

        def write() -> None:
            packet = av.Packet(b"\x06\x0e+4telemetry")
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 90000), 9000, 9000
            output.mux(packet)

        return write

    rainy = Clip(extras=telemetry, options={"bf": "0"}).write(tmp_path / "rainy.ts")
    before, after = both(rainy)
    assert before.others()[0].codec == "klv"
    assert after.others() == before.others()


@pytest.mark.parametrize(
    "clip, first, ending, words",
    [
        (Clip(subtitles=[0.1]), "rainy.mp4", ".mkv", "stream 1 (subtitle, mov_text, fre)"),
        (Clip(audio=["eng"]), "rainy.mp4", ".webm", "stream 1 (audio, aac, eng)"),
        (Clip(extras=clips.attachment), "rainy.mkv", ".mp4", "stream 1 (attachment, rain.ttf)"),
        (Clip(extras=clips.cover), "rainy.mp4", ".mov", "stream 1 (video, mjpeg)"),
        (Clip(extras=clips.cover), "rainy.mp4", ".ts", "stream 1 (video, mjpeg)"),
        (Clip(chapters=[(0, 0.4, "one")]), "rainy.mkv", ".ts", "its 1 chapters"),
        (Clip(edit=lambda s: s.set_display_rotation(90)), "rainy.mp4", ".ts", "its rotation by 90 degrees"),
    ],
)
def test_what_the_container_cannot_hold_is_named_before_the_work(
    clip: Clip, first: str, ending: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rainy = clip.write(tmp_path / first)
    target = tmp_path / f"clean{ending}"
    with FileSource(rainy) as source, pytest.raises(UsageError) as refused:
        FileSink(target, source)
    assert words in str(refused.value)
    another = "the output .mkv, which" if ending != ".mkv" else "the output .mp4, as the input is,"
    assert another in str(refused.value) and "--drop-unsupported" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == [first]
    with caplog.at_level(logging.WARNING):
        pass_through(rainy, target, drop_unsupported=True)
    assert words in caplog.text
    assert len(media.read(target).times) == 12


def test_a_dropped_stream_is_told_and_the_others_stay(tmp_path: Path) -> None:
    rainy = Clip(audio=["eng"], subtitles=[0.1]).write(tmp_path / "rainy.mp4")
    with FileSource(rainy) as source:
        with FileSink(tmp_path / "clean.mkv", source, drop_unsupported=True) as sink:
            for frame in source:
                sink.write(frame)
        assert sink.dropped == ["stream 2 (subtitle, mov_text, fre)"]
    assert [s.kind for s in media.read(tmp_path / "clean.mkv").streams] == ["video", "audio"]


def test_sound_before_an_avi_begins_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rainy = Clip(audio=["eng"], audio_start=Fraction(-1, 5)).write(tmp_path / "rainy.mp4")
    with caplog.at_level(logging.WARNING):
        pass_through(rainy, tmp_path / "clean.avi")
    assert caplog.text.count("stream 1 (audio, aac, eng) has before time zero is left out") == 1
    before, after = (media.read(path).others()[0] for path in (rainy, tmp_path / "clean.avi"))
    assert [data for time, data in before.packets if time is not None and time >= 0] == [
        data for _, data in after.packets
    ]


def with_captions(number: int, packet: Any) -> Any:
    """An H.264 packet with a closed caption before its picture."""
    message = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\xab\xcd\xff"
    unit = b"\x06\x04" + bytes([len(message)]) + message + b"\x80"
    changed = av.Packet(len(unit).to_bytes(4, "big") + unit + bytes(packet))
    changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
    changed.time_base, changed.is_keyframe = packet.time_base, packet.is_keyframe
    return changed


def test_what_is_lost_inside_the_pictures_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = Clip().write(tmp_path / "plain.mp4")
    rainy = clips.remux(plain, tmp_path / "rainy.mp4", change=with_captions)
    with caplog.at_level(logging.WARNING):
        pass_through(plain, tmp_path / "clean.mp4")
        assert caplog.text == ""
        pass_through(rainy, tmp_path / "clean2.mp4")
    assert "rainy.mp4: its closed captions can't be carried over" in caplog.text
