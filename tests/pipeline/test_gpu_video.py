"""Video on a card of host memory: what is decoded, restored and written there is what the CPU gives."""

from contextlib import ExitStack, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import clips
import numpy as np
import onnx_models
import pytest
from card_video import TIMES, CardDriver, CardEngine, CardPicture, Opening, clip, pictures
from host_cuda import HostCuda

from derain.engines.device.host import HostDevice
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.registry import open_engine
from derain.pipeline.bypass import Watch
from derain.pipeline.continuity import thumbnail
from derain.pipeline.gpu import decoding, nvrtc, way
from derain.pipeline.gpu.decoding import CardSource, differs, nvdec, why_not
from derain.pipeline.gpu.driver import Driver
from derain.pipeline.gpu.frame import DeviceFrame, Surface
from derain.pipeline.gpu.restore import CardRestorer
from derain.pipeline.gpu.way import Way, Wishes, open_way, run_on_card
from derain.pipeline.restore import Restorer
from derain.pipeline.runner import Output, run
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.sources.decode import Decoder
from derain.pipeline.sources.file import FileSource

DRY = Watch(active=False, glance=None, why="")


def engine_on(device: HostDevice, folder: Path, dtype: str = "uint8", **card: Any) -> CardEngine:
    model = onnx_models.unshuffle(folder, factor=4, **card)
    return CardEngine(
        open_engine(model, EngineOptions(backend="onnxruntime", dtype=dtype, threads=1)), device
    )


def test_frames_of_the_card_have_the_times_and_tags_of_those_of_the_cpu(
    tmp_path: Path, driver: CardDriver, opening: Opening
) -> None:
    with FileSource(clip(tmp_path)) as source:
        on_cpu = list(source)
        with CardSource(source, driver) as card:
            frames = list(card)
            assert (card.info, card.held, card.shortfall, card.live) == (source.info, 0, None, False)
    assert opening.asked[0].is_hw_owned
    for frame, expected in zip(frames, on_cpu, strict=True):
        assert isinstance(frame, DeviceFrame) and isinstance(frame.pixels, Surface)
        for name in ("pts", "time_base", "duration", "colour", "held", "side_data"):
            assert getattr(frame, name) == getattr(expected, name)
        assert (frame.pixels.width, frame.pixels.height) == (clips.WIDTH, clips.HEIGHT)
        assert (frame.pixels.bits, frame.pixels.full) == (8, False)


def test_a_cut_of_the_card_begins_and_ends_where_that_of_the_cpu_does(
    tmp_path: Path, driver: CardDriver
) -> None:
    path = clip(tmp_path, times=range(0, 4000, 200))
    with FileSource(path, start=Fraction(3, 2), duration=1) as source:
        on_cpu = [(frame.pts, frame.duration) for frame in source]
        assert [(frame.pts, frame.duration) for frame in CardSource(source, driver)] == on_cpu


def test_a_damaged_picture_is_held_on_the_card_too(tmp_path: Path, driver: CardDriver) -> None:
    whole = clip(tmp_path, times=range(0, 1200, 100), options={"bf": "0", "g": "1"})
    rainy = clips.remux(whole, tmp_path / "damaged.mkv", change=spoilt)
    with FileSource(rainy) as source:
        on_cpu = [(frame.pts, frame.held) for frame in source]
        frames = list(CardSource(source, driver))
        assert [(frame.pts, frame.held) for frame in frames] == on_cpu
        assert source.held == 2
    assert frames[5].held and frames[5].pixels is frames[4].pixels


def spoilt(number: int, packet: Any) -> Any:
    """Packets 5 and 8 made worthless."""
    if number not in (5, 8):
        return packet
    noise = av.Packet(b"\xff" * packet.size)
    noise.pts, noise.dts, noise.duration = packet.pts, packet.dts, packet.duration
    noise.time_base, noise.is_keyframe = packet.time_base, packet.is_keyframe
    return noise


def written(folder: Path, source: FileSource, name: str, codec: str | None = None) -> FileSink:
    return FileSink(folder / name, source, codec=codec, overwrite=True)


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "8 bits": ({}, "ffv1"),
    "full range": ({"pixel_format": "yuvj420p", "colour": (5, 2, 1, 1)}, "ffv1"),
    "10 bits": ({"pixel_format": "yuv420p10le", "colour": (9, 1, 9, 16)}, "ffv1"),
    "continued to the network's multiple": ({"width": 50, "height": 38}, "ffv1"),
    "odd": ({"width": 51, "height": 39, "codec": "ffv1"}, "libx264"),
    "by an encoder that loses": ({"width": 50, "height": 38}, "libx264"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_stays_on_the_card_is_written_as_the_cpu_writes_it(
    tmp_path: Path, device: HostDevice, opening: Opening, case: str
) -> None:
    """Decoded, continued, restored, turned to planes and encoded: every picture the same, to the bit."""
    wishes, codec = CASES[case]
    with FileSource(clip(tmp_path, **wishes)) as source, ExitStack() as stack:
        dtype = "uint16" if source.info.bit_depth > 8 else "uint8"
        engine = stack.enter_context(engine_on(device, tmp_path, dtype))
        with written(tmp_path, source, "cpu.mkv", codec) as sink:
            run(source, Restorer(engine), [Output(sink)])
        sink = stack.enter_context(written(tmp_path, source, "card.mkv", codec))
        found = open_way("auto", source, engine, Wishes(sink), stack)
        assert (found.decoder, found.why) == ("nvdec", "")
        assert found.source is not None and found.restorer is not None
        report = run_on_card(found.source, found.restorer, sink, DRY, None, lambda snapshot: None)
    assert report.frames == len(TIMES) and opening.asked[-1].is_hw_owned
    on_cpu, on_card = pictures(tmp_path / "cpu.mkv"), pictures(tmp_path / "card.mkv")
    assert [pts for pts, _ in on_card] == [pts for pts, _ in on_cpu]
    for (_, got), (_, expected) in zip(on_card, on_cpu, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert tags(tmp_path / "card.mkv") == tags(tmp_path / "cpu.mkv")


def tags(path: Path) -> tuple[Any, ...]:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.format.name, frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc


def test_what_can_t_stay_on_the_card_is_decoded_there_and_brought_to_the_host(
    tmp_path: Path, device: HostDevice, opening: Opening
) -> None:
    with FileSource(clip(tmp_path)) as source, ExitStack() as stack:
        on_cpu = list(source)
        engine = stack.enter_context(engine_on(device, tmp_path))
        sink = stack.enter_context(written(tmp_path, source, "clean.mkv"))
        found = open_way("auto", source, engine, Wishes(sink, against=("", "two are compared")), stack)
        assert found == Way("nvdec", "brought to the host: two are compared")
        for frame, expected in zip(source, on_cpu, strict=True):
            np.testing.assert_array_equal(frame.pixels, expected.pixels)
            assert (frame.pts, frame.duration, frame.colour) == (
                expected.pts,
                expected.duration,
                expected.colour,
            )
        assert [accel.is_hw_owned for accel in opening.asked] == [False]
        sink.discard()


def test_full_range_that_only_the_pixel_format_tells_of_is_kept_on_the_way_to_the_host(
    tmp_path: Path, device: HostDevice, opening: Opening, driver: CardDriver
) -> None:
    path = clip(tmp_path, codec="mjpeg", pixel_format="yuvj420p", colour=(2, 0, 2, 2))
    with FileSource(path) as source:
        on_cpu = [frame.pixels for frame in source]
        source.info = replace(source.info, colour=replace(source.info.colour, range=0))
        source.hardware = nvdec(driver, stay=False)
        for frame, expected in zip(source, on_cpu, strict=True):
            np.testing.assert_array_equal(frame.pixels, expected)


@pytest.mark.parametrize(
    "part, reason",
    [
        ("engine", "openvino takes them from there only"),
        ("format", "yuv422p pictures, which the kernels do not make"),
        ("compiler", "NVRTC is not installed"),
        ("memory", "no room"),
    ],
)
def test_each_reason_why_pictures_leave_the_card_is_told(
    tmp_path: Path,
    device: HostDevice,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    reason: str,
) -> None:
    path = clip(tmp_path, pixel_format="yuv422p" if part == "format" else "yuv420p")
    with FileSource(path) as source, ExitStack() as stack:
        engine: Any = stack.enter_context(engine_on(device, tmp_path))
        if part == "engine":
            engine = open_engine(onnx_models.identity(tmp_path), EngineOptions(backend="onnxruntime"))
            monkeypatch.setattr(engine, "backend", "openvino", raising=False)
        if part == "compiler":
            monkeypatch.setattr(nvrtc, "unavailable", lambda: "the library NVRTC is not installed")
        if part == "memory":
            monkeypatch.setattr(engine, "enqueue", no_room)
        sink = stack.enter_context(written(tmp_path, source, "clean.mkv"))
        found = open_way("nvdec", source, engine, Wishes(sink), stack)
        assert reason in found.why and found.restorer is None
        sink.discard()


def no_room(*arguments: object) -> None:
    raise MemoryShortError("no room on the card")


def test_without_a_card_the_cpu_decodes_and_says_why(
    tmp_path: Path, device: HostDevice, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way, "why_not", lambda source, driver: "the card does not decode h264")
    with FileSource(clip(tmp_path)) as source, ExitStack() as stack:
        engine = stack.enter_context(engine_on(device, tmp_path))
        sink = stack.enter_context(written(tmp_path, source, "clean.mkv"))
        wishes = Wishes(sink)
        assert open_way("auto", source, engine, wishes, stack) == Way(
            "software", "the card does not decode h264"
        )
        assert open_way("software", source, engine, wishes, stack) == Way("software")
        with pytest.raises(UsageError, match="can't be decoded on the card: the card does not decode h264"):
            open_way("nvdec", source, engine, wishes, stack)
        engine.backend = "onnxruntime"
        assert open_way("auto", source, engine, wishes, stack) == Way("software")
        assert source.hardware is None and opening.asked == []
        sink.discard()


def test_without_a_driver_the_cpu_decodes_and_says_so(tmp_path: Path, device: HostDevice) -> None:
    """This machine, whatever it has; the driver's library under a name that nothing has."""
    with FileSource(clip(tmp_path)) as source, ExitStack() as stack:
        engine = stack.enter_context(engine_on(device, tmp_path))
        sink = stack.enter_context(written(tmp_path, source, "clean.mkv"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(way, "Driver", lambda: Driver(names=("libno-such-driver.so",)))
            found = open_way("auto", source, engine, Wishes(sink), stack)
        assert found.decoder == "software" and "no NVIDIA driver here" in found.why
        sink.discard()


def test_a_check_of_the_first_picture_tells_what_the_card_made_of_it(tmp_path: Path) -> None:
    with FileSource(clip(tmp_path)) as source:
        info = source.info
    picture = av.VideoFrame(info.width, info.height, "yuv420p")
    assert "does not decode h264 of 64x48 yuv420p" in differs(picture, info)
    on_card: Any = CardPicture(picture)
    assert differs(on_card, info) == ""
    assert "64x48 pictures and not 66x48" in differs(on_card, replace(info, width=66))
    assert "as nv12" in differs(on_card, replace(info, bit_depth=10, pixel_format="yuv422p10le"))


@pytest.mark.parametrize("accelerated", [True, False])
def test_a_file_is_tried_on_the_card_before_anything_is_promised(
    tmp_path: Path, driver: CardDriver, monkeypatch: pytest.MonkeyPatch, accelerated: bool
) -> None:
    with FileSource(clip(tmp_path)) as source:
        context = SimpleNamespace(is_hwaccel=accelerated, name="libdav1d", thread_count=0)
        stream = SimpleNamespace(index=source.stream_index, codec_context=context)
        container = SimpleNamespace(streams=SimpleNamespace(video=[stream]))
        picture: Any = CardPicture(av.VideoFrame(clips.WIDTH, clips.HEIGHT, "yuv420p"))
        monkeypatch.setattr(decoding, "opened", lambda path, accel: nullcontext(container))
        monkeypatch.setattr(decoding, "first_frame", lambda *arguments: picture)
        expected = "" if accelerated else "FFmpeg's decoder libdav1d can't use a card"
        assert why_not(source, driver) == expected


def test_a_card_without_its_video_library_is_told_in_ffmpegs_words(
    tmp_path: Path, driver: CardDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that was given the card for computing only: the CPU would decode without a word."""

    def logged(*arguments: Any) -> av.VideoFrame:
        av.logging.log(av.logging.ERROR, "h264", "Cannot load libnvcuvid.so.1\n")
        return av.VideoFrame(clips.WIDTH, clips.HEIGHT, "yuv420p")

    with FileSource(clip(tmp_path)) as source:
        context = SimpleNamespace(is_hwaccel=True, name="h264", thread_count=0)
        stream = SimpleNamespace(index=source.stream_index, codec_context=context)
        container = SimpleNamespace(streams=SimpleNamespace(video=[stream]))
        monkeypatch.setattr(decoding, "opened", lambda path, accel: nullcontext(container))
        monkeypatch.setattr(decoding, "first_frame", logged)
        assert why_not(source, driver).endswith(" of 64x48 yuv420p (cannot load libnvcuvid.so.1)")


def test_what_ffmpeg_says_of_a_card_it_can_t_use_is_the_reason(tmp_path: Path, driver: CardDriver) -> None:
    """The driver of these tests is not FFmpeg's: its own is not there, or knows nothing of this context."""
    with FileSource(clip(tmp_path)) as source:
        assert why_not(source, driver)


def test_memory_that_runs_short_while_decoding_damages_no_picture(tmp_path: Path) -> None:
    """The card has less of it, and a picture that had no room is no picture to hold the last one for."""

    class Short(Decoder):
        def _decode(self, packet: Any) -> list[av.VideoFrame]:
            self._stream: Any = SimpleNamespace(decode=no_memory)
            return super()._decode(packet)

    path = clip(tmp_path)
    with av.open(str(path)) as container, pytest.raises(MemoryError):
        list(Short(container, container.streams.video[0]))


def no_memory(packet: object) -> None:
    raise av.error.MemoryError(12, "Cannot allocate memory")


def test_the_context_that_ffmpeg_has_outlives_us(cuda: HostCuda, driver: CardDriver) -> None:
    """A decoder that is freed after its context was destroyed takes the process with it."""
    retained = cuda.books()[0]
    nvdec(driver, stay=True)
    driver.close()
    assert cuda.books()[0] == retained


def test_a_picture_the_card_gave_up_on_ends_the_run_with_a_way_on(
    tmp_path: Path, driver: CardDriver, monkeypatch: pytest.MonkeyPatch, opening: Opening
) -> None:
    with FileSource(clip(tmp_path)) as source:
        card = CardSource(source, driver)
        with pytest.raises(DerainError, match=r"does not decode .*; say --decoder software"):
            card.surface(av.VideoFrame(clips.WIDTH, clips.HEIGHT, "yuv420p"))


def test_no_more_pictures_are_on_the_card_than_have_room(
    tmp_path: Path, device: HostDevice, driver: CardDriver
) -> None:
    with FileSource(clip(tmp_path)) as source, ExitStack() as stack:
        engine = stack.enter_context(engine_on(device, tmp_path))
        with written(tmp_path, source, "clean.mkv", "ffv1") as sink:
            restorer = CardRestorer(engine, driver, way.planes_of(source, sink))
            stack.callback(restorer.close)
            surfaces: list[Any] = [frame.pixels for frame in CardSource(source, driver)]
            tickets = [restorer.start(surface) for surface in surfaces[:2]]
            with pytest.raises(DerainError, match="2 pictures are on the card"):
                restorer.start(surfaces[2])
            first = tickets[0].wait().to_ndarray()
            np.testing.assert_array_equal(tickets[0].wait().to_ndarray(), first)
            restorer.start(surfaces[2]).wait()
            assert not np.array_equal(tickets[1].wait().to_ndarray(), first)
            sink.discard()
    restorer.close()


def test_a_picture_on_the_card_looks_from_afar_as_it_does_on_the_host(
    tmp_path: Path, device: HostDevice, driver: CardDriver
) -> None:
    """By which cuts are seen: of a large picture a few pixels come down, those that the host would take."""
    with FileSource(clip(tmp_path, width=402, height=276, times=(1, 2))) as source, ExitStack() as stack:
        on_cpu = [thumbnail(frame.pixels) for frame in source]
        engine = stack.enter_context(engine_on(device, tmp_path))
        with written(tmp_path, source, "clean.mkv", "ffv1") as sink:
            restorer = CardRestorer(engine, driver, way.planes_of(source, sink))
            stack.callback(restorer.close)
            for frame, expected in zip(CardSource(source, driver), on_cpu, strict=True):
                surface: Any = frame.pixels
                np.testing.assert_array_equal(restorer.look(surface), expected)
            sink.discard()
