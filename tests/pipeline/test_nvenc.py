"""The card's encoders where they take a video, the CPU's where not, and the reason."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import Clip

from derain.engines.errors import UsageError
from derain.pipeline.sinks import nvenc
from derain.pipeline.sinks.encoder import Encoding, choose
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.file import FileSource

INFO = StreamInfo(width=64, height=48, time_base=Fraction(1, 1000), pixel_format="yuv420p")
DEEP = replace(INFO, bit_depth=10, pixel_format="yuv420p10le")

Tried = list[tuple[str, str, dict[str, str]]]


def chosen(
    folder: Path,
    info: StreamInfo = INFO,
    name: str = "clean.mkv",
    codec: str | None = None,
    crf: float | None = None,
    on_card: bool = True,
    options: dict[str, str] | None = None,
) -> Encoding:
    with av.open(str(folder / name), "w") as container:
        size = (info.width, info.height)
        return choose(container, folder / name, info, size, codec, crf, options or {}, on_card)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    """A card that begins every video; what it was tried with."""
    found: Tried = []

    def trial(codec: str, pixel_format: str, size: tuple[int, int], options: Any) -> str:
        found.append((codec, pixel_format, dict(options)))
        return ""

    monkeypatch.setattr(nvenc, "trial", trial)
    return found


@pytest.mark.parametrize(
    "info, name, codec, pixel_format",
    [
        (INFO, "clean.mkv", "h264_nvenc", "yuv420p"),
        (DEEP, "clean.mp4", "hevc_nvenc", "p010le"),
        (INFO, "clean.webm", "av1_nvenc", "yuv420p"),
    ],
)
def test_the_card_encodes_what_it_takes_and_the_container_holds(
    tmp_path: Path, tried: Tried, info: StreamInfo, name: str, codec: str, pixel_format: str
) -> None:
    for asked, on_card in ((None, True), ("nvenc", False)):
        found = chosen(tmp_path, info, name, asked, on_card=on_card)
        assert (found.codec, found.pixel_format, found.why) == (codec, pixel_format, "")
        assert found.options["qp"] == nvenc.LOOKS_LOSSLESS[codec]["qp"]
    assert tried[0] == (codec, pixel_format, found.options)


def test_nobody_is_given_the_cards_encoder_who_did_not_want_it(tmp_path: Path, tried: Tried) -> None:
    assert chosen(tmp_path, on_card=False).codec == "libx264"
    assert chosen(tmp_path, codec="ffv1").codec == "ffv1"
    assert tried == []


def test_quality_is_told_in_the_encoders_own_measure(tmp_path: Path, tried: Tried) -> None:
    assert chosen(tmp_path, crf=23).options["qp"] == "23"
    assert chosen(tmp_path, name="clean.webm", crf=23).options["qp"] == "92"
    by_rate = chosen(tmp_path, options={"b": "5M"}).options
    assert by_rate["b"] == "5M" and "qp" not in by_rate


@pytest.mark.parametrize(
    "info, options, reason",
    [
        (replace(INFO, width=63), {}, "no pictures of odd size, and these are 63x48"),
        (replace(DEEP, side_data={"CONTENT_LIGHT_LEVEL": bytes(8)}), {}, "the HDR description"),
        (INFO, {"x264-params": "aq-mode=3"}, "h264_nvenc has no option 'x264-params'"),
    ],
)
def test_what_the_card_can_t_do_is_left_to_the_cpu_with_the_reason(
    tmp_path: Path, tried: Tried, info: StreamInfo, options: dict[str, str], reason: str
) -> None:
    found = chosen(tmp_path, info, options=options)
    assert found.codec in ("libx264", "libx265") and reason in found.why


def test_no_encoder_of_the_card_fits_some_containers(tmp_path: Path, tried: Tried) -> None:
    assert chosen(tmp_path, name="clean.avi").why == "no encoder of NVENC fits the avi format"


def test_a_card_without_an_encoder_is_told_by_its_first_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As data-centre cards are: they decode and do not encode."""
    monkeypatch.setattr(nvenc, "trial", lambda codec, *rest: f"{codec}: no capable devices found")
    found = chosen(tmp_path, codec="nvenc")
    assert (found.codec, found.why) == ("libx264", "h264_nvenc: no capable devices found")


def test_a_trial_that_fails_says_what_ffmpeg_says(tmp_path: Path) -> None:
    """A quantiser no card has: refused with a card and without one."""
    why = nvenc.trial("h264_nvenc", "yuv420p", (64, 48), {"preset": "no-such-preset"})
    assert why.startswith("h264_nvenc: ") and "\n" not in why


def test_an_encoder_of_the_card_by_name_is_refused_in_its_own_words(tmp_path: Path) -> None:
    source = FileSource(Clip(times=range(3)).write(tmp_path / "rainy.mkv"))
    with pytest.raises(UsageError, match=r"the encoder h264_nvenc refuses 64x48 .*; try other options"):
        FileSink(tmp_path / "clean.mkv", source, codec="h264_nvenc", options={"preset": "p9"})
    assert [path.name for path in tmp_path.iterdir()] == ["rainy.mkv"]
