"""The output gets its name when it is whole, and nothing else is ever left."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import media
import pytest
from clips import Clip
from passing import pass_through

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.frame import Frame
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource


@pytest.fixture
def rainy(tmp_path: Path) -> Path:
    """A clip of forty pictures with sound, in a folder of its own."""
    (tmp_path / "in").mkdir()
    return Clip(times=range(40), audio=["eng"], options={"bf": "0"}).write(tmp_path / "in" / "rainy.mp4")


def names(folder: Path) -> list[str]:
    """What lies in a folder besides other folders."""
    return sorted(path.name for path in folder.iterdir() if not path.is_dir())


def test_the_name_appears_only_when_the_file_is_whole(rainy: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.mp4"
    with FileSource(rainy) as source, FileSink(target, source) as sink:
        for frame in source:
            sink.write(frame)
            assert not target.exists()
            assert all(name.startswith(".clean.tmp-") and name.endswith(".mp4") for name in names(tmp_path))
    assert names(tmp_path) == ["clean.mp4"]
    sink.close()
    sink.discard()
    assert names(tmp_path) == ["clean.mp4"]


def test_an_error_while_writing_leaves_nothing(rainy: Path, tmp_path: Path) -> None:
    with (
        FileSource(rainy) as source,
        pytest.raises(RuntimeError),
        FileSink(tmp_path / "clean.mp4", source) as sink,
    ):
        for frame in source:
            sink.write(frame)
            if sink.frames == 20:
                raise RuntimeError("the network tripped")
    assert names(tmp_path) == []


def test_discarding_leaves_nothing(rainy: Path, tmp_path: Path) -> None:
    with FileSource(rainy) as source:
        sink = FileSink(tmp_path / "clean.mp4", source)
        for frame in source:
            sink.write(frame)
        sink.discard()
        sink.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "ts"])
def test_a_partial_file_is_kept_and_plays(ending: str, rainy: Path, tmp_path: Path) -> None:
    with FileSource(rainy) as source:
        sink = FileSink(tmp_path / f"clean.{ending}", source)
        for frame in source:
            sink.write(frame)
            if sink.frames == 25:
                break
        kept = sink.keep_partial()
        sink.discard()
    assert kept == tmp_path / f"clean.partial.{ending}"
    assert names(tmp_path) == [f"clean.partial.{ending}"]
    found = media.read(kept)
    assert len(found.times) == 25
    assert 0.9 < float(max(t for t, _ in found.others()[0].packets if t is not None)) < 1.01


def test_without_a_frame_there_is_nothing_to_keep(rainy: Path, tmp_path: Path) -> None:
    with FileSource(rainy) as source:
        assert FileSink(tmp_path / "clean.mp4", source).keep_partial() is None
    assert names(tmp_path) == []


def test_an_existing_output_stays_unless_overwriting_is_asked_for(rainy: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.mp4"
    target.write_bytes(b"precious")
    with FileSource(rainy) as source, pytest.raises(UsageError, match="exists; say --overwrite"):
        FileSink(target, source)
    assert target.read_bytes() == b"precious"
    pass_through(rainy, target, overwrite=True)
    assert len(media.read(target).times) == 40


def test_a_failed_overwrite_keeps_the_old_file(rainy: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.mp4"
    target.write_bytes(b"precious")
    with (
        FileSource(rainy) as source,
        pytest.raises(RuntimeError),
        FileSink(target, source, overwrite=True) as sink,
    ):
        sink.write(next(iter(source)))
        raise RuntimeError("tripped")
    assert (names(tmp_path), target.read_bytes()) == (["clean.mp4"], b"precious")


def test_a_file_that_appears_meanwhile_is_not_replaced(rainy: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.mp4"
    with (
        FileSource(rainy) as source,
        pytest.raises(DerainError, match="appeared while"),
        FileSink(target, source) as sink,
    ):
        for frame in source:
            sink.write(frame)
        target.write_bytes(b"precious")
    assert (names(tmp_path), target.read_bytes()) == (["clean.mp4"], b"precious")


@pytest.mark.parametrize("link", ["the same name", "another spelling", "symlink", "hard link"])
def test_the_input_is_never_the_output(link: str, rainy: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.mp4"
    if link == "symlink":
        target.symlink_to(rainy)
    elif link == "hard link":
        os.link(rainy, target)
    else:
        target = rainy if link == "the same name" else tmp_path / "in" / ".." / "in" / "rainy.mp4"
    before = rainy.read_bytes()
    with FileSource(rainy) as source, pytest.raises(UsageError, match="is the input"):
        FileSink(target, source, overwrite=True)
    assert rainy.read_bytes() == before


def refusal(rainy: Path, target: Path, **wishes: Any) -> str:
    """Why a sink is refused, having left nothing beside `target`."""
    before = names(target.parent) if target.parent.is_dir() else []
    with FileSource(rainy) as source, pytest.raises(UsageError) as refused:
        FileSink(target, source, **wishes)
    if target.parent.is_dir():
        assert names(target.parent) == before
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_places_that_cannot_be_written_are_refused(rainy: Path, tmp_path: Path, monkeypatch: Any) -> None:
    assert "is a folder" in refusal(rainy, tmp_path / "in")
    assert "there is no folder" in refusal(rainy, tmp_path / "nowhere" / "clean.mp4")

    def forbidden(path: Path, exist_ok: bool = True) -> None:  # root may write anywhere
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", forbidden)
    assert "can't be written to (permission denied)" in refusal(rainy, tmp_path / "clean.mp4")


@pytest.mark.parametrize(
    "name", ["clean.xyz", "clean.txt", "clean", "clean.flv", "clean.m3u8", "clean.png", "clean.mp3"]
)
def test_an_unknown_container_is_refused_with_those_that_work(name: str, rainy: Path, tmp_path: Path) -> None:
    message = refusal(rainy, tmp_path / name)
    assert name in message and ".mp4" in message and ".mkv" in message


@pytest.mark.parametrize(
    "name, wishes, words",
    [
        ("clean.mp4", {"codec": "x265000"}, ["no encoder named 'x265000'", "libx264", "libx265"]),
        ("clean.mp4", {"codec": "aac"}, ["is for audio", "libx264"]),
        (
            "clean.webm",
            {"codec": "libx264", "drop_unsupported": True},
            ["webm", "can't hold", "libvpx-vp9", ".mkv"],
        ),
        ("clean.avi", {"codec": "libx264"}, ["avi", "can't hold", "mpeg4"]),
        ("clean.mp4", {"options": {"crt": "20"}}, ["no option 'crt'", "crf"]),
        ("clean.mp4", {"codec": "mpeg4", "crf": 20.0}, ["no option 'crf'"]),
        ("clean.mp4", {"options": {"preset": "warp"}}, ["refuses", "preset=warp"]),
    ],
)
def test_what_the_encoder_will_not_do_is_refused_with_what_it_will(
    name: str, wishes: dict[str, Any], words: list[str], rainy: Path, tmp_path: Path
) -> None:
    message = refusal(rainy, tmp_path / name, **wishes)
    assert [word for word in words if word not in message] == []


def test_names_that_look_like_addresses_or_options_are_files(tmp_path: Path) -> None:
    rainy = Clip().write(tmp_path / "plain.mp4").rename(tmp_path / "-rtsp: 50 %d, é.mp4")
    pass_through(rainy, tmp_path / "pipe:1 #x?y=%03d.mp4")
    assert len(media.read(tmp_path / "pipe:1 #x?y=%03d.mp4").times) == 12


def test_quality_and_options_reach_the_encoder(rainy: Path, tmp_path: Path) -> None:
    sizes = []
    cases: list[dict[str, Any]] = [{"crf": 1.0}, {}, {"crf": 45.0}, {"options": {"crf": "51"}, "crf": 1.0}]
    for number, wishes in enumerate(cases):
        target = tmp_path / f"{number}.mp4"
        pass_through(rainy, target, codec="libx264", **wishes)
        sizes.append(target.stat().st_size)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]


def test_x264_uses_whole_pictures_for_its_threads(tmp_path: Path) -> None:
    rainy = Clip(times=range(4), width=64, height=1024).write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "clean.mp4", options={"threads": "2"})  # slices would cost quality
    assert b"sliced_threads=0" in media.read(tmp_path / "clean.mp4").side_data["SEI_UNREGISTERED"]


def test_hevc_in_mp4_has_the_name_that_apples_players_know(rainy: Path, tmp_path: Path) -> None:
    pass_through(rainy, tmp_path / "clean.mp4", codec="libx265")
    assert b"hvc1" in (tmp_path / "clean.mp4").read_bytes()


def test_a_comparison_may_be_wider_than_the_source(rainy: Path, tmp_path: Path) -> None:
    with FileSource(rainy) as source, FileSink(tmp_path / "clean.mp4", source, size=(128, 48)) as sink:
        for frame in source:
            wide = frame.pixels.repeat(2, axis=1)
            sink.write(Frame(wide, frame.pts, frame.time_base, frame.duration, frame.colour))
    with FileSource(tmp_path / "clean.mp4") as clean:
        assert (clean.info.width, clean.info.height) == (128, 48)
    assert media.read(tmp_path / "clean.mp4").times == media.read(rainy).times


def test_a_picture_of_another_size_is_an_error_not_a_stretched_one(rainy: Path, tmp_path: Path) -> None:
    with (
        FileSource(rainy) as source,
        pytest.raises(DerainError, match="is 32x48, but the others are 64x48"),
        FileSink(tmp_path / "clean.mp4", source) as sink,
    ):
        frame = next(iter(source))
        sink.write(Frame(frame.pixels[:, :32], frame.pts, frame.time_base))
    assert names(tmp_path) == []


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_file_that_lacks_pictures_is_not_published(
    ending: str, rainy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        FileSource(rainy) as source,
        pytest.raises(DerainError, match="should hold 40 pictures but holds 39"),
        FileSink(tmp_path / f"clean.{ending}", source, options={"tune": "zerolatency"}) as sink,
    ):
        for number, frame in enumerate(source):
            if number == 20:
                monkeypatch.setattr(sink, "_mux", lambda packets: None)
            sink.write(frame)
            monkeypatch.undo()
    assert names(tmp_path) == []


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
from derain.engines.errors import DerainError
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource
try:
    with FileSource(sys.argv[1]) as source, FileSink(sys.argv[2], source, crf=0) as sink:
        for frame in source:
            sink.write(frame)
except DerainError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("room", [100, 5000])
def test_a_full_disk_ends_in_a_sentence_and_leaves_nothing(
    ending: str, room: int, rainy: Path, tmp_path: Path
) -> None:
    target = tmp_path / f"clean.{ending}"
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(rainy), str(target), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (1, 2), done.stderr
    assert f"{target} can't be" in done.stdout and "file too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert names(tmp_path) == []


def test_a_disk_that_fails_on_syncing_leaves_nothing(
    rainy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DerainError, match="no space left on device"):
        pass_through(rainy, tmp_path / "clean.mp4")
    assert names(tmp_path) == []


def test_memory_stays_flat(tmp_path: Path) -> None:
    clip = Clip(times=range(60), width=640, height=480, options={"preset": "ultrafast"})
    rainy = clip.write(tmp_path / "rainy.mp4")
    pass_through(rainy, tmp_path / "warm.mp4")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(4):
        pass_through(rainy, tmp_path / f"{number}.mp4")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 40  # 240 pictures of 0.9 MB would be 210


def open_files() -> int:
    """How many files and the like this process holds open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_nothing_stays_open(rainy: Path, tmp_path: Path) -> None:
    pass_through(rainy, tmp_path / "first.mp4")
    before = open_files()
    for number in range(3):
        pass_through(rainy, tmp_path / f"{number}.mp4")
        with FileSource(rainy) as source:
            next(iter(source))
        refusal(rainy, tmp_path / "clean.xyz")
        refusal(rainy, tmp_path / "clean.mp4", codec="nothing")
    assert open_files() <= before


def test_encoders_keep_their_chatter_to_themselves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVT_LOG", "")
    monkeypatch.delenv("SVT_LOG")
    rainy = Clip().write(tmp_path / "rainy.mp4")
    for codec in ("libx264", "libx265", "libsvtav1"):
        pass_through(rainy, tmp_path / f"{codec}.mp4", codec=codec)
    assert capfd.readouterr().err == ""


def test_a_link_that_leads_nowhere_is_not_replaced_unasked(tmp_path: Path) -> None:
    rainy = Clip().write(tmp_path / "in.mp4")
    (tmp_path / "out.mp4").symlink_to(tmp_path / "unplugged" / "out.mp4")
    with FileSource(rainy) as source, pytest.raises(UsageError, match="exists; say --overwrite"):
        FileSink(tmp_path / "out.mp4", source)
    assert (tmp_path / "out.mp4").is_symlink()
