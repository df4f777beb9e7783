"""Outputs as users write them: what they open, and the sentence where they can't be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from live_outputs import shown

from derain.engines.errors import UsageError
from derain.pipeline.live.seam import Control, Figures, Packet, Track
from derain.pipeline.sinks import coder, hls, push, recording
from derain.pipeline.sinks.evidence_book import verify
from derain.pipeline.sinks.live_outputs import Needs, open_output, shown_output
from derain.pipeline.sinks.own_thread import Each, OwnThread
from derain.pipeline.sinks.recording import safe_name


class NoControl(Control):
    def figures(self) -> Figures:
        return Figures((), "", "", "", 0.0, 0)

    def set_strength(self, camera: str, strength: float) -> None: ...


def no_tracks(camera: str) -> Sequence[Track]:
    return ()


ONE = Needs(["front"], NoControl(), no_tracks)
OTHER = "back_door-3ad0107d"
"""The folder of "back door": a name that is no file's is told from others that look like it."""
TWO = Needs(["front", "back door"], NoControl(), no_tracks, lambda: {"model": "realtime"})


def test_recordings_of_two_cameras_go_into_folders_of_their_own(tmp_path: Path) -> None:
    sink = open_output(f"record:{tmp_path}?segment=10m&keep=7d&most=20GB&size=500MB&free=1MB", TWO)
    for camera in ("front", "back door", "another"):
        sink.show(shown(0, camera=camera))
    sink.close()
    assert {path.parent.name for path in tmp_path.rglob("*.mkv")} == {"front", OTHER}


def test_options_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def take(options: Any, camera: str, tracks: Any) -> Each:
        asked.append(options)
        return Each({})

    monkeypatch.setattr(recording, "open_recording", take)
    monkeypatch.setattr(hls, "open_hls", take)
    open_output(f"record:{tmp_path}?segment=10m&keep=7d&most=20GB&size=1.5MB&free=1GB", ONE)
    open_output("record:some%20where", ONE)
    open_output(f"hls:{tmp_path}?segment=500ms&most=9", ONE)
    first, second, third = asked
    assert (first.folder, first.seconds, first.most_bytes) == (tmp_path, 600, 1_500_000)
    assert (first.keep.seconds, first.keep.most_bytes, first.keep.free_least) == (604800, 20 * 10**9, 10**9)
    assert (second.folder, second.seconds, second.most_bytes) == (Path("some%20where"), 600, None)
    assert second.keep.seconds is second.keep.most_bytes is None
    assert (third.seconds, third.most) == (0.5, 9)


def test_evidence_can_be_verified(tmp_path: Path) -> None:
    sink = open_output(f"evidence:{tmp_path}", TWO)
    sink.show(shown(0))
    sink.show(shown(0, camera="back door"))
    sink.packet("front", Packet(0, "video", b"", 0, 0, 0, shown(0).taken.frame.time_base, True, 0))
    sink.close()
    verdict = verify(tmp_path)
    assert (verdict.faults, verdict.segments) == ((), 2)


def test_pushes_of_two_cameras_have_their_names_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def take(address: Any, camera: str, tracks: Any) -> Each:
        asked.append((address.url, camera))
        return Each({})

    monkeypatch.setattr(push, "open_push", take)
    open_output("rtsp://host/{camera}", TWO)
    assert asked == [("rtsp://host/front", "front"), ("rtsp://host/back%20door", "back door")]


def test_a_push_that_is_opened_can_be_closed_at_once() -> None:
    others = {child.pid for child in psutil.Process().children()}
    sink = open_output("udp://127.0.0.1:9", ONE)
    sink.show(shown(0))
    sink.close()
    assert {child.pid for child in psutil.Process().children()} <= others


@pytest.mark.parametrize(
    ("text", "needs", "sentence"),
    [
        ("", ONE, "'' is no output; take rtsp://HOST/PATH, rtmp://"),
        ("film.mp4", ONE, "'film.mp4' is no output"),
        ("ftp://me:secret7@host/x", ONE, r"'ftp://\*\*\*@host/x' is no output"),
        (
            "rtsp://me:secret7@host/x",
            TWO,
            r"rtsp://\*\*\*@host/x takes one camera, and there are 2; write {camera}",
        ),
        ("http://host/x", ONE, "nothing is pushed to http://host/x"),
        ("rtsp:///x", ONE, "names no host"),
        ("srt://me.local:9000?passphrase=hunter22", ONE, r"srt://me.local:9000\?passphrase=\*\*\*"),
        ("record:", ONE, "record: names no folder; write record:FOLDER"),
        ("record:there?segment=10", ONE, r"has segment=10; it takes 10s, 5m, 2h or 7d"),
        ("record:there?segment=0s", ONE, r"has segment=0s; it takes"),
        ("record:there?most=many", ONE, "has most=many; it takes 500MB or 20GB"),
        ("record:there?colour=red", ONE, "the option 'colour'; it takes segment, size, keep, most, free"),
        ("record:there?keep=1d&keep=2d", ONE, "each once, joined by &"),
        ("hls:there?most=few", ONE, "has most=few; it takes a whole number"),
        ("window?size=3", ONE, r"window\?size=3 has the option 'size'; it takes none"),
        ("virtual", TWO, "a virtual camera takes one camera, and there are 2"),
        ("record:a\nb", ONE, "a character in it that can't be printed"),
    ],
)
def test_what_is_no_output_is_a_sentence(text: str, needs: Needs, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as told:
        open_output(text, needs)
    assert "secret7" not in str(told.value)
    assert "hunter22" not in str(told.value)


@pytest.mark.parametrize("text", ["record:{}", "evidence:{}", "hls:{}", "udp://127.0.0.1:9"])
def test_an_ffmpeg_without_an_encoder_is_told_before_the_start(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coder, "ENCODER", "libnone")
    with pytest.raises(UsageError, match="has no libnone, which live outputs need"):
        open_output(text.format(tmp_path), ONE)
    assert not list(tmp_path.iterdir())


def test_folders_of_cameras_stay_inside_and_never_meet() -> None:
    names = ["..", ".", "a/b", "a b", "a_b", "/etc", "C:\\x", "ä"]
    safe = [safe_name(name) for name in names]
    assert len(set(safe)) == len(names)
    assert all(Path(name).name == name and name not in ("", "..", ".") for name in safe)
    assert safe_name("front-2") == "front-2"


def test_where_one_camera_can_not_be_opened_the_others_are_closed(tmp_path: Path) -> None:
    (tmp_path / OTHER).touch()
    closed: list[str] = []
    close = OwnThread.close

    def note(self: OwnThread) -> None:
        closed.append(self.camera)
        close(self)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(UsageError, match="can't be written to"):
        patch.setattr(OwnThread, "close", note)
        open_output(f"record:{tmp_path}", TWO)
    assert closed == ["front"]


def test_an_output_is_shown_without_credentials() -> None:
    assert shown_output("rtmp://me:secret7@host/live/a") == "rtmp://***@host/live/a"
    assert shown_output("record:there?keep=7d") == "record:there?keep=7d"
