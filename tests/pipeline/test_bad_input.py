"""Everything that can be wrong with what the user gives: one sentence, an exit code, nothing written."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import clips
import onnx_models
import pytest

from derain.pipeline.cli import run


@dataclass(frozen=True)
class Row:
    """`make` fills a folder and returns the arguments after `derain video`; the rest is expected."""

    name: str
    make: Callable[[Path], list[str | Path]]
    exit_code: int
    sentence: str


def good(folder: Path) -> Path:
    return clips.Clip().write(folder / "rainy.mp4")


def model(folder: Path) -> list[str | Path]:
    return ["--model", onnx_models.identity(folder)]


def with_input(content: Callable[[Path], Path | str]) -> Callable[[Path], list[str | Path]]:
    """Arguments for an input that `content` makes."""
    return lambda folder: [content(folder), folder / "clean.mp4", *model(folder)]


def with_output(target: Callable[[Path], Path | str]) -> Callable[[Path], list[str | Path]]:
    """Arguments for an output that `target` names, and perhaps puts in the way."""
    return lambda folder: [good(folder), target(folder), *model(folder)]


def with_options(*options: str) -> Callable[[Path], list[str | Path]]:
    """Arguments with options after good ones."""
    return lambda folder: [good(folder), folder / "clean.mp4", *model(folder), *options]


def with_model(network: Callable[[Path], Path]) -> Callable[[Path], list[str | Path]]:
    """Arguments with a model that `network` makes."""
    return lambda folder: [good(folder), folder / "clean.mp4", "--model", network(folder)]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def made(path: Path) -> Path:
    path.mkdir()
    return path


def audio_only(folder: Path) -> Path:
    path = folder / "song.mp4"
    with av.open(str(path), "w") as output:
        tone = clips.add_tone(output, "aac", "eng")
        clips.write_tone(output, tone, Fraction(0), 0.5, 300)
    return path


def no_pictures(path: Path) -> Path:
    """The description of a video stream, and no pictures in it."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    return path


def link_to(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def cut_before_its_index(folder: Path) -> Path:
    return written(folder / "cut.mp4", good(folder).read_bytes()[:-2000])


def interlaced(folder: Path) -> Path:
    return clips.Clip(options={"x264-params": "tff=1"}).write(folder / "fields.mp4")


def transparent(folder: Path) -> Path:
    return clips.Clip(codec="ffv1", pixel_format="yuva420p").write(folder / "transparent.mkv")


def with_sound_for_avi(folder: Path) -> list[str | Path]:
    clip = clips.Clip(subtitles=(0.1,), subtitle_codec="subrip").write(folder / "rainy.mkv")
    return [clip, folder / "clean.avi", *model(folder)]


def attending(*options: str) -> Callable[[Path], list[str | Path]]:
    """Arguments with options after good ones, for a network with an attention map."""
    return lambda f: [good(f), f / "clean.mp4", "--model", onnx_models.attentive(f), *options]


def existing_attention(folder: Path) -> list[str | Path]:
    written(folder / "heat.mp4", b"mine")
    return attending("--show-attention", "heat.mp4")(folder)


TABLE = (
    Row("missing file", with_input(lambda f: f / "missing.mp4"), 2, "no file"),
    Row("a directory", with_input(lambda f: made(f / "clips.mp4")), 2, "is a folder"),
    Row("empty file", with_input(lambda f: written(f / "empty.mp4", b"")), 2, "is empty"),
    Row("text", with_input(lambda f: written(f / "notes.mp4", b"rain\n" * 99)), 2, "is not a video"),
    Row("a device", with_input(lambda f: os.devnull), 2, "is a pipe or a device"),
    Row("no name", with_input(lambda f: ""), 2, "INPUT is empty"),
    Row("no name of the output", with_output(lambda f: ""), 2, "OUTPUT is empty"),
    Row("no name of the rain layer", with_options("--rain-layer", ""), 2, "--rain-layer is empty"),
    Row("audio only", with_input(audio_only), 2, "no video stream (it holds audio)"),
    Row("zero length", with_input(lambda f: no_pictures(f / "nothing.avi")), 2, "has no pictures"),
    Row(
        "zero length, no stream",
        with_input(lambda f: no_pictures(f / "n.mp4")),
        2,
        "has no pictures (its length is zero)",
    ),
    Row("cut off before its index", with_input(cut_before_its_index), 2, "cut off"),
    Row("interlaced", with_input(interlaced), 2, "--as-progressive"),
    Row("transparent", with_input(transparent), 2, "transparent"),
    Row("output is the input", with_output(lambda f: f / "rainy.mp4"), 2, "the same file as the input"),
    Row(
        "link to the input", with_output(lambda f: link_to(f / "l.mp4", f / "rainy.mp4")), 2, "the same file"
    ),
    Row("output exists", with_output(lambda f: written(f / "clean.mp4", b"mine")), 2, "--overwrite"),
    Row("output is a folder", with_output(lambda f: made(f / "clean.mp4")), 2, "is a folder"),
    Row("no folder for it", with_output(lambda f: f / "no" / "clean.mp4"), 2, "make it first"),
    Row("a file as its folder", with_output(lambda f: f / "rainy.mp4" / "clean.mp4"), 2, "no folder"),
    Row(
        "unwritable folder",
        with_output(lambda f: Path("/proc/clean.mp4")),
        2,
        "the folder /proc can't be written to",
    ),
    Row("unknown container", with_output(lambda f: f / "clean.xyz"), 2, "'.xyz'"),
    Row("no container", with_output(lambda f: f / "clean"), 2, "without an ending"),
    Row("subtitles that don't fit", with_sound_for_avi, 2, "--drop-unsupported"),
    Row(
        "rain layer is the output",
        with_options("--rain-layer", "clean.mp4"),
        2,
        "the same file as the output",
    ),
    Row(
        "rain layer is the input", with_options("--rain-layer", "rainy.mp4"), 2, "the same file as the input"
    ),
    Row("no name of the attention video", attending("--show-attention", ""), 2, "--show-attention is empty"),
    Row(
        "attention video is the output",
        attending("--show-attention", "clean.mp4"),
        2,
        "the attention video clean.mp4 is the same file as the output",
    ),
    Row(
        "attention video is the input",
        attending("--show-attention", "rainy.mp4"),
        2,
        "the same file as the input",
    ),
    Row(
        "attention video is the rain layer",
        attending("--rain-layer", "rain.mp4", "--show-attention", "./rain.mp4"),
        2,
        "the attention video rain.mp4 is the same file as the rain layer",
    ),
    Row("attention video exists", existing_attention, 2, "the output heat.mp4 exists; say --overwrite"),
    Row("no folder for it", attending("--show-attention", "no/heat.mp4"), 2, "make it first"),
    Row("no container for it", attending("--show-attention", "heat.xyz"), 2, "'.xyz'"),
    Row(
        "network without an attention map",
        with_options("--show-attention", "heat.mp4"),
        2,
        "identity.onnx gives no attention map; leave out --show-attention",
    ),
    Row("unknown codec", with_options("--codec", "h267"), 2, "no encoder named 'h267'"),
    Row("codec for sound", with_options("--codec", "aac"), 2, "not video"),
    Row("codec not for mp4", with_options("--codec", "wmv2"), 2, "can't hold video of the encoder 'wmv2'"),
    Row("unknown encoder option", with_options("-e", "speed=9"), 2, "no option 'speed'"),
    Row("bad value of an encoder option", with_options("-e", "preset=lazy"), 2, "preset=lazy"),
    Row("option without value", with_options("-e", "preset"), 2, "KEY=VALUE"),
    Row("option without key", with_options("-e", "=slow"), 2, "KEY=VALUE"),
    Row("bad crf", with_options("--crf", "best"), 2, "--crf takes a number from 0 to 63, not 'best'"),
    Row("strength above", with_options("--strength", "1.5"), 2, "from 0 to 1, not '1.5'"),
    Row("strength not a number", with_options("--strength", "nan"), 2, "from 0 to 1, not 'nan'"),
    Row("bad tile", with_options("--tile", "big"), 2, "auto, none or a number"),
    Row("tile of nothing", with_options("--tile", "0"), 2, "the smallest is"),
    Row("bad start", with_options("--start", "noon"), 2, "--start takes seconds (12.5) or HH:MM:SS.mmm"),
    Row("negative start", with_options("--start", "-1"), 2, "--start takes"),
    Row("start behind the end", with_options("--start", "60"), 2, "behind the end"),
    Row("bad duration", with_options("--duration", "1:99"), 2, "--duration takes"),
    Row("no duration", with_options("--duration", "0"), 2, "more than zero"),
    Row("bad threads", with_options("--threads", "0"), 2, "--threads takes a whole number from 1"),
    Row("a million threads", with_options("--threads", "1000000"), 2, "from 1 to 1024, not '1000000'"),
    Row("unknown backend", with_options("--backend", "abacus"), 2, "openvino, onnxruntime"),
    Row("unknown precision", with_options("--precision", "fp1"), 2, "fp1"),
    Row("unknown comparison", with_options("--compare", "above"), 2, "'side', 'split'"),
    Row("unknown option", with_options("--fast"), 2, "--fast"),
    Row("missing model", with_model(lambda f: f / "missing.onnx"), 2, "missing.onnx"),
    Row("unknown model", with_options("--model", "sunshine"), 2, "no network 'sunshine'"),
    Row("model not ONNX", with_model(lambda f: written(f / "notes.onnx", b"rain\n" * 99)), 2, "notes.onnx"),
    Row("model without a card", with_model(onnx_models.without_card), 2, "card"),
    Row("model of wrong shape", with_model(onnx_models.wrong_shape), 2, "wrong_shape.onnx"),
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_it_is_one_sentence_and_nothing_is_written(
    row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["video", *(str(word) for word in row.make(tmp_path))]
    before = contents(tmp_path)
    code = run(arguments)
    said = capsys.readouterr()
    assert row.sentence in said.err
    assert code == row.exit_code
    assert contents(tmp_path) == before
    assert said.out == ""
    sentences = [line for line in said.err.splitlines() if not line.startswith("derain: warning: ")]
    assert len(sentences) == 1
    assert sentences[0].startswith("derain: ")
