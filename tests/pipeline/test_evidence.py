"""Evidence: the original beside what was made of it, and `derain verify`, which no change escapes."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from live_outputs import Clock, numbers, shown, sound, times

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.cli import run
from derain.pipeline.live.seam import Packet, Track
from derain.pipeline.sinks.coder import CLOCK, LIVE, Coder
from derain.pipeline.sinks.evidence import Evidence, Keeper, open_evidence
from derain.pipeline.sinks.evidence_book import BOOK, SIDE_CAR, verify
from derain.pipeline.sinks.evidence_segment import COLUMNS
from derain.pipeline.sinks.retention import FREE_LEAST

ENGINE = {"model": "realtime", "sha256": "ab" * 32}
PLENTY = 2 * FREE_LEAST


def no_tracks(camera: str) -> Sequence[Track]:
    return ()


def keeper(folder: Path, clock: Clock, tracks: Sequence[Track] = (), **options: Any) -> Keeper:
    return Keeper(
        folder,
        "front",
        Evidence(folder, **options),
        lambda camera: tracks,
        lambda: ENGINE,
        lambda _: PLENTY,
        clock,
    )


def coded(count: int, epoch: int = 0, key_seconds: float = 0.39) -> list[Packet]:
    """The frames of `shown` as a camera would send them, in H.264, a key frame every ten."""
    coder = Coder((64, 48), 25, LIVE, key_seconds)
    packets = [one for n in range(count) for one in coder.encode(shown(n).taken.frame.pixels, n / 25)]
    packets += coder.flush()
    return [Packet(0, "video", bytes(p), p.pts, p.dts, 0, CLOCK, p.is_keyframe, epoch) for p in packets]


VIDEO = Track(0, "video", "h264", b"", CLOCK)


def segments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def side_car(segment: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((segment / SIDE_CAR).read_text())
    return read


def decoded(data: list[bytes]) -> list[np.ndarray[Any, Any]]:
    decoder: Any = av.CodecContext.create("h264", "r")
    pictures = [frame for one in data for frame in decoder.decode(av.Packet(one))]
    return [frame.to_ndarray() for frame in [*pictures, *decoder.decode(None)]]


def file_pictures(path: Path) -> list[np.ndarray[Any, Any]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def keep(folder: Path, ahead: int = 0, **options: Any) -> list[Packet]:
    """Evidence of 40 frames with their packets and sound, frames three packets behind; the sound comes
    `ahead` of its time."""
    clock = Clock()
    track, heard = sound(1.6)
    work = keeper(folder, clock, [VIDEO, track], **options)
    packets = coded(40)
    for number in range(43):
        while heard and float((heard[0].pts or 0) * heard[0].time_base) <= (number + ahead) / 25:
            work.packet(heard.pop(0))
        if number < 40:
            work.packet(packets[number])
        if number >= 3:
            work.frame(shown(number - 3))
        clock.pass_(0.04)
    work.end()
    return packets


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    (tmp_path / "front").mkdir()
    keep(tmp_path / "front", seconds=1)
    return tmp_path


@pytest.mark.parametrize("ahead", [0, 12])
def test_the_packets_are_kept_as_they_came_and_segments_begin_at_key_frames(
    tmp_path: Path, ahead: int
) -> None:
    packets = keep(tmp_path, ahead, seconds=1)
    first, second = segments(tmp_path)
    pictures = file_pictures(first / "original.mkv") + file_pictures(second / "original.mkv")
    assert len(pictures) == 40
    assert all(map(np.array_equal, pictures, decoded([packet.data for packet in packets])))
    restored = [len(numbers(path / "restored.mkv")) for path in (first, second)]
    assert restored == [len(file_pictures(path / "original.mkv")) for path in (first, second)]
    assert restored[0] % 10 == 0, "a key frame every ten"
    assert len(times(first / "original.mkv", "audio")) > 10


@pytest.mark.parametrize("timeless", [1, 3, 40])
def test_packets_that_come_without_a_time_are_kept_too(tmp_path: Path, timeless: int) -> None:
    work = keeper(tmp_path, Clock(), [VIDEO])
    packets = coded(40)
    for number, packet in enumerate(packets):
        none = number < timeless or number == 30
        work.packet(replace(packet, pts=None, dts=None) if none else packet)
        one = shown(number)
        frame = replace(one.taken.frame, pts=None if none else number)
        work.frame(replace(one, taken=replace(one.taken, frame=frame)))
    work.end()
    (segment,) = segments(tmp_path)
    pictures = file_pictures(segment / "original.mkv")
    assert len(pictures) == 40
    assert all(map(np.array_equal, pictures, decoded([packet.data for packet in packets])))
    assert len(numbers(segment / "restored.mkv")) == 40


def test_the_mask_says_where_pixels_were_altered(tmp_path: Path) -> None:
    keep(tmp_path)
    (segment,) = segments(tmp_path)
    mask = file_pictures(segment / "altered.mkv")[7]
    expected = np.zeros((48, 64), np.uint8)
    expected[8:24, 8:24] = 255
    assert np.array_equal(mask, expected)


def test_the_side_car_tells_times_and_the_model(tmp_path: Path) -> None:
    keep(tmp_path)
    (segment,) = segments(tmp_path)
    said = side_car(segment)
    assert said["engines"] == [ENGINE]
    assert set(said["files"]) == {"original.mkv", "restored.mkv", "altered.mkv"}
    frames = [dict(zip(COLUMNS, row, strict=True)) for row in said["frames"]]
    assert [frame["pts"] for frame in frames] == list(range(40))
    assert Fraction(frames[0]["time_base"]) == Fraction(1, 25)
    assert frames[3]["altered"] == pytest.approx(256 / (64 * 48), abs=1e-6)
    assert [frame["seconds"] for frame in frames] == pytest.approx(times(segment / "restored.mkv"), abs=1e-3)
    assert said["original"] == "packets as they came"


def test_where_there_are_no_packets_the_pictures_are_kept_exactly(tmp_path: Path) -> None:
    clock = Clock()
    work = keeper(tmp_path, clock, seconds=1)
    sent = [shown(number, size=(63, 47)) for number in (0, 1, 2, 5, 6, *range(30, 34))]
    for one in sent:
        work.frame(one)
    work.end()
    first, second = segments(tmp_path)
    with av.open(str(first / "original.mkv")) as container:
        kept = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all(map(np.array_equal, kept, [one.taken.frame.pixels for one in sent[:5]]))
    assert [side_car(path)["dropped"] for path in (first, second)] == [2, 23]
    assert side_car(first)["original"] == "pictures as they were decoded"


def test_a_new_connection_begins_a_segment_with_its_own_packets(tmp_path: Path) -> None:
    clock = Clock()
    work = keeper(tmp_path, clock, [VIDEO])
    for epoch in (0, 1):
        for number, packet in enumerate(coded(10, epoch)):
            work.packet(packet)
            if number >= 2:
                work.frame(shown(number - 2, epoch=epoch))
    work.end()
    assert [len(file_pictures(path / "original.mkv")) for path in segments(tmp_path)] == [10, 10]
    assert verify(tmp_path).faults == ()


def test_untouched_evidence_is_as_written(evidence: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(evidence)]) == 0
    said = capsys.readouterr().out
    assert "8 files of 2 segments: all as written" in said
    assert f"front/{BOOK}: sha256 " in said
    assert run(["verify", str(evidence / "front"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["segments"] == 2


def test_no_byte_of_any_file_can_be_changed(evidence: Path) -> None:
    files = sorted(path for path in evidence.rglob("*") if path.is_file() and path.name != BOOK)
    assert len(files) == 8
    generator = np.random.default_rng(3)
    for path in files:
        whole = path.read_bytes()
        for place in (0, len(whole) - 1, *generator.integers(0, len(whole), 3)):
            changed = bytearray(whole)
            changed[place] ^= 1 << int(generator.integers(8))
            path.write_bytes(changed)
            told = [(fault.path, fault.what) for fault in verify(evidence).faults]
            assert (str(path.relative_to(evidence)), "changed") in told
        path.write_bytes(whole)
    assert verify(evidence).faults == ()


def test_what_is_missing_or_extra_is_told_by_name(evidence: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (path.relative_to(evidence) for path in segments(evidence / "front"))
    (evidence / first / "altered.mkv").unlink()
    (evidence / first / "more.mkv").touch()
    shutil.rmtree(evidence / second)
    (evidence / "front" / "2020-01-01T00-00-00.000Z").mkdir()
    (evidence / "note.txt").touch()
    assert run(["verify", str(evidence)]) == 1
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "note.txt was not written with it",
        f"{first}/altered.mkv is missing",
        f"{first}/more.mkv was not written with it",
        f"{second} is missing",
        "front/2020-01-01T00-00-00.000Z has no side-car: the run was cut off, or it goes on",
        "3 files of 2 segments: 5 not as written",
    ]


def test_a_book_or_side_car_that_is_gone_or_spoilt_is_told(evidence: Path) -> None:
    book = evidence / "front" / BOOK
    listed = json.loads(book.read_text())
    name = next(iter(listed["segments"]))
    for text in (
        "",
        "[]",
        '{"segments": 3}',
        json.dumps({"segments": {name: 3}}),
        '{"segments": {"../x": "1"}}',
    ):
        book.write_text(text)
        assert ("front/" + BOOK, "changed") in [(f.path, f.what) for f in verify(evidence).faults]
    book.unlink()
    assert ("front/" + BOOK, "missing") in [(f.path, f.what) for f in verify(evidence).faults]
    del listed["segments"][name]
    book.write_text(json.dumps(listed))
    assert [(f.path, f.what) for f in verify(evidence).faults] == [(f"front/{name}", "extra")]
    for text in ("", "[]", "[" * 10**5, '{"files": {"restored.mkv": 1}}', '{"files": {"/etc/passwd": {}}}'):
        (evidence / "front" / next(iter(listed["segments"])) / SIDE_CAR).write_text(text)
        assert any(fault.path.endswith(SIDE_CAR) for fault in verify(evidence).faults)


def test_another_run_goes_on_in_the_same_book(evidence: Path) -> None:
    keep(evidence / "front")
    verdict = verify(evidence)
    assert verdict.faults == ()
    assert verdict.segments == 3
    (evidence / "front" / BOOK).write_text("spoilt")
    with pytest.raises(DerainError, match="can't be read, so that nothing can be entered; move it away"):
        open_evidence(Evidence(evidence), "front", no_tracks, dict)


def test_a_folder_without_evidence_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(tmp_path / "none")]) == 2
    assert run(["verify", str(tmp_path)]) == 2
    assert (
        "holds no evidence; name a folder that --output evidence:FOLDER has written"
        in capsys.readouterr().err
    )
    with pytest.raises(UsageError, match="it takes 1 s to 1h"):
        Evidence(tmp_path, seconds=0)


def test_no_room_is_told_and_nothing_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(tmp_path)
    work = Keeper(tmp_path, "front", Evidence(tmp_path), no_tracks, dict, lambda _: 0, Clock())
    work.frame(shown(0))
    work.end()
    assert work.lost == 1
    assert "front: no evidence is kept: there is no room on the disk" in caplog.text
    assert verify(tmp_path).faults == ()
