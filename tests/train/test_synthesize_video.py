"""Rain on videos: every time, sound and tag of the input, rain by the second, and the same again."""

import json
from fractions import Fraction
from pathlib import Path

import av
import clips
import media
import numpy as np
import numpy.typing as npt
import pytest

from derain.engines.errors import DerainError
from derain.pipeline.cli import run
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.file import FileSource
from derain.train.degradations.compose import make as made_of
from derain.train.degradations.sidecar import read_sidecar
from derain.train.synthesis.job import synthesize
from derain.train.synthesis.plan import SynthesisJob
from derain.train.synthesis.twins import to_picture

TWINS = ("rainy", "clean", "mask")
IRREGULAR = (0, 1, 2, 5, 6, 11, 12, 13, 20, 21)


def make(*arguments: object) -> int:
    return run(["synthesize", *map(str, arguments), "--no-progress"])


def pictures(path: Path) -> list[npt.NDArray[np.uint8]]:
    with FileSource(path) as source:
        return [np.asarray(frame.pixels) for frame in source]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """An irregular clip with two sound tracks, a subtitle and a chapter."""
    return clips.Clip(
        times=IRREGULAR,
        audio=("eng", "fra"),
        subtitles=(0.2,),
        metadata={"title": "dry"},
        chapters=((0, 0.4, "first"),),
        options={"bf": "2"},
    ).write(tmp_path / "clip.mp4")


def test_twins_keep_times_sound_and_all_else(clip: Path, tmp_path: Path) -> None:
    assert make(clip, tmp_path / "out", "--rain", "rain100h") == 0
    original = media.read(clip)
    for twin in TWINS:
        copy = media.read(tmp_path / "out" / twin / "clip.mp4")
        assert copy.times == original.times
        assert [s.kind for s in copy.streams[:4]] == ["video", "audio", "audio", "subtitle"]
        assert [s.packets for s in copy.others()] == [s.packets for s in original.others()]
        assert [s.tags["language"] for s in copy.streams[1:4]] == ["eng", "fra", "fre"]
        assert copy.chapters == original.chapters and copy.tags["title"] == "dry"


def test_rain_falls_by_each_pictures_own_time(clip: Path, tmp_path: Path) -> None:
    assert make(clip, tmp_path / "out", "--rain", "rain100h", "--crf", "0") == 0
    shot = read_sidecar(tmp_path / "out/params/clip.json").shot
    clean = pictures(clip)
    for number in (0, 3, 9):
        found = pictures(tmp_path / "out/rainy/clip.mp4")[number].mean(axis=2)
        wanted, later = (
            made_of(to_picture(clean[number]), shot, time).rainy.image.mean(axis=2) * 255
            for time in (IRREGULAR[number] / 25, 77.0)
        )
        assert np.abs(found - wanted).mean() < 2
        assert np.abs(found - later).mean() > 8


def test_clean_and_mask_are_those_of_the_rain(clip: Path, tmp_path: Path) -> None:
    assert make(clip, tmp_path / "out", "--rain", "rain100h") == 0
    shot = read_sidecar(tmp_path / "out/params/clip.json").shot
    masks, copies = (pictures(tmp_path / "out" / twin / "clip.mp4") for twin in ("mask", "clean"))
    for number, clean in enumerate(pictures(clip)):
        assert np.abs(clean - copies[number].astype(int)).mean() < 2
        rain = made_of(to_picture(clean), shot, IRREGULAR[number] / 25)
        assert (masks[number] == (rain.rainy.mask * 255).astype(np.uint8)[..., None]).all()


def test_the_same_files_come_of_the_side_car(clip: Path, tmp_path: Path) -> None:
    cut = ("--start", "0.04", "--duration", "0.4", "--crf", "20", "--mask", "attention")
    assert make(clip, tmp_path / "out", "--rain", "joint", "--seed", "5", *cut) == 0
    assert media.read(tmp_path / "out/rainy/clip.mp4").times == [Fraction(t, 25) for t in (0, 1, 4, 5)]
    assert make(clip, tmp_path / "again", "--from-sidecar", tmp_path / "out/params/clip.json") == 0
    for twin in TWINS:
        first, again = (tmp_path / name / twin / "clip.mp4" for name in ("out", "again"))
        assert first.read_bytes() == again.read_bytes()
    told = [json.loads((tmp_path / name / "params/clip.json").read_text()) for name in ("out", "again")]
    assert told[0] == told[1] and told[0]["video"] == {
        "start": "1/25",
        "duration": "2/5",
        "frames": 4,
        "crf": 20.0,
    }


def test_ten_bits_stay_ten_bits(tmp_path: Path) -> None:
    path = clips.Clip(
        times=range(3),
        codec="libx265",
        pixel_format="yuv420p10le",
        options={"x265-params": "log-level=error"},
    ).write(tmp_path / "deep.mkv")
    assert make(path, tmp_path / "out", "--rain", "rain100h") == 0
    assert media.read(tmp_path / "out/rainy/deep.mkv").pixel_format == "yuv420p10le"
    assert np.abs(pictures(tmp_path / "out/clean/deep.mkv")[1] / 257 - pictures(path)[1] / 257).mean() < 1
    mask = pictures(tmp_path / "out/mask/deep.mkv")[1]
    assert mask.dtype == np.uint16 and set(np.unique(np.rint(mask / 257))) == {0, 255}


def test_rain_falls_down_a_phone_video_too(tmp_path: Path) -> None:
    """A phone held upright stores its pictures lying; streaks run along the stored rows."""

    def lying(stream: object) -> None:
        stream.set_display_matrix((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))  # type: ignore[attr-defined]

    path = clips.Clip(times=range(2), width=96, height=64, edit=lying).write(tmp_path / "phone.mp4")
    with FileSource(path) as source:
        assert source.info.rotation in (90, 270, -90)
    assert make(path, tmp_path / "out", "--rain", "rain100l", "--seed", "2") == 0
    rainy = pictures(tmp_path / "out/rainy/phone.mp4")[0].mean(axis=2)
    rain = rainy - pictures(path)[0].mean(axis=2)
    down, across = (np.abs(np.diff(rain, axis=axis)).mean() for axis in (0, 1))
    assert across < 0.6 * down


def test_an_unwritable_container_becomes_matroska(tmp_path: Path) -> None:
    path = clips.Clip(times=range(3), codec="mpeg4", time_base=Fraction(1, 25)).write(tmp_path / "a.avi")
    odd = path.rename(tmp_path / "a.video")
    assert make(odd, tmp_path / "out", "--rain", "rain100l") == 0
    assert len(media.read(tmp_path / "out/rainy/a.mkv").times) == 3


def test_a_cut_off_video_leaves_nothing(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = clips.Clip(times=range(40), options={"g": "5"}).write(tmp_path / "whole.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert make(cut, tmp_path / "out", "--rain", "rain100l") == 1
    assert "cut.mkv ends early" in (said := capsys.readouterr().err) and "--duration" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "cut.mkv", "whole.mkv"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hdr.mkv", "hdr.mkv is HDR (PQ), but rain is made in the light of an ordinary screen"),
        ("small.mkv", "small.mkv has pictures of 64x12 pixels; rain needs 16x16 and more"),
        ("text.mp4", "text.mp4 is not a video that can be read"),
        ("empty.mp4", "empty.mp4 has no pictures (its length is zero)"),
    ],
)
def test_videos_that_will_not_do_are_one_sentence(
    name: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips.Clip(times=range(2), colour=(9, 1, 9, 16)).write(tmp_path / "hdr.mkv")
    clips.Clip(times=range(2), height=12).write(tmp_path / "small.mkv")
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "empty.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    assert make(tmp_path / name, tmp_path / "out", "--rain", "joint") == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said and "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_failing_disk_leaves_nothing(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(sink: FileSink) -> None:
        raise DerainError(f"{sink.path} can't be written: no space left on device")

    monkeypatch.setattr(FileSink, "close", full)
    with pytest.raises(DerainError, match=r"out/\w+/clip\.mp4 can't be written: no space"):
        synthesize(SynthesisJob(clip, tmp_path / "out", rain="rain100l"))
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
