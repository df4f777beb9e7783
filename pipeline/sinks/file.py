"""A video file as a sink: restored pictures encoded, every other stream copied from the input."""

from __future__ import annotations  # PyAV's Packet is generic in its type stubs only

import logging
from array import array
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.codec.context import Flags
from av.packet import Packet

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.colour import FromRGB, written_colour
from derain.pipeline.frame import Frame
from derain.pipeline.gpu.frame import DeviceFrame
from derain.pipeline.gpu.words import listening, told
from derain.pipeline.sinks.container import (
    COUNT_FRAMES,
    HOLD_CHAPTERS,
    MOV_FAMILY,
    check_begin,
    lacks,
    muxer_options,
    open_container,
)
from derain.pipeline.sinks.describe import begin_clocks, chapters, file_tags, video_tags
from derain.pipeline.sinks.encoder import choose
from derain.pipeline.sinks.publish import Publication
from derain.pipeline.sinks.remux import Copier, refuse
from derain.pipeline.sinks.verify import verify
from derain.pipeline.sources.file import FileSource
from derain.pipeline.sources.probe import reason

log = logging.getLogger(__name__)


class FileSink:
    """Encodes frames into a video file, with every other stream of `source`'s file copied.

    `codec`, `options`, `crf`: the encoder's; by default what looks lossless and the container takes. `size`:
    (width, height) of the frames where it is not the source's. `on_card`: see `encoder.choose`. Time stamps
    keep the source's time base where the container can; Matroska and WebM count milliseconds, MPEG-TS and -PS
    1/90000 s, and round to them; AVI counts pictures, and one that is not at its turn is an error.

    Raises UsageError on opening where the container, the codec, an option or a stream won't do; nothing is
    written then. `dropped` says what was left out under `drop_unsupported`. The target's name appears on
    `close`, once every picture was found at its time in the file. `encoding` and `colour`: what is written.
    """

    def __init__(
        self,
        path: str | Path,
        source: FileSource,
        codec: str | None = None,
        options: Mapping[str, str] | None = None,
        crf: float | None = None,
        overwrite: bool = False,
        drop_unsupported: bool = False,
        size: tuple[int, int] | None = None,
        on_card: bool = False,
    ) -> None:
        self.path = Path(path)
        self.source = source
        self._size = size or (source.info.width, source.info.height)
        self._times: array[int] = array("q")
        self._end = Fraction(0)
        self._done = False
        self._publication = Publication(self.path, (source.path,), overwrite)
        self._output = open_container(self._publication.temporary, self.path)
        self._copier = Copier(source.path, source.stream_index, source.cut, self._output)
        try:
            check_begin(self._output.format.name, source.info, source.cut)
            self.dropped = self._left_out(drop_unsupported)
            self.encoding = choose(
                self._output, self.path, source.info, self._size, codec, crf, options or {}, on_card
            )
            self.colour = written_colour(source.info, self.encoding.pixel_format)
            self._begin()
        except BaseException:
            self.discard()
            raise

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        return len(self._times)

    def _left_out(self, drop_unsupported: bool) -> list[str]:
        source, name = self.source, self._output.format.name
        missing = self._copier.refused + lacks(name, source.info, len(self._copier.original.chapters()))
        if not drop_unsupported:
            refuse(missing, name, source.path)
        for what in missing:
            log.warning("%s leaves out %s", self.path.name, what)
        return missing

    def _begin(self) -> None:
        original, name = self._copier.original, self._output.format.name
        tags = file_tags(original)
        self._output.metadata.update(tags)
        if name in HOLD_CHAPTERS:
            self._output.set_chapters(chapters(original, self.source.cut))
        clocks = begin_clocks(original, self.source.cut)
        self._output.container_options.update(muxer_options(name, self.source.info, tags, clocks))
        self._copier.begin(self._add_video)
        self._open_encoder()
        try:
            self._output.start_encoding()
        except (av.FFmpegError, ValueError, OSError) as error:
            raise UsageError(f"{self.path} can't be begun as {name}: {reason(error)}") from error

    def _add_video(self) -> None:
        info, encoding = self.source.info, self.encoding
        rate = info.average_rate or info.real_rate or 25
        self._base = 1 / Fraction(rate) if self._output.format.name in COUNT_FRAMES else info.time_base
        stream: Any = self._output.add_stream(encoding.codec, rate=rate, options=dict(encoding.options))
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = encoding.pixel_format
        context.time_base = stream.time_base = self._base
        context.flags |= Flags.frame_duration
        context.thread_type = "AUTO"
        if encoding.codec in ("libx265", "hevc_nvenc") and self._output.format.name in MOV_FAMILY:
            context.codec_tag = "hvc1"  # the one of the two names that Apple's players know
        if info.display_matrix:
            stream.set_display_matrix(info.display_matrix)
        original = self._copier.original.streams[self.source.stream_index]
        stream.metadata.update(video_tags(original))
        stream.disposition = original.disposition
        self._set_colour(context)
        self._stream = stream

    def _set_colour(self, context: Any) -> None:
        info, colour = self.source.info, self.colour
        context.colorspace, context.color_range = colour.matrix, colour.range
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        self._from_rgb = FromRGB(self.encoding.pixel_format, colour, info.height)

    def _open_encoder(self) -> None:
        with listening() as logs:
            try:
                self._stream.codec_context.open()
            except (av.FFmpegError, ValueError) as error:
                raise self._refused(told(error, logs)) from error

    def _refused(self, why: str) -> UsageError:
        """What the encoder says to the pictures and options it is to get."""
        width, height = self._size
        given = ", ".join(f"{name}={value}" for name, value in self.encoding.options.items())
        return UsageError(
            f"the encoder {self.encoding.codec} refuses {width}x{height} {self.encoding.pixel_format} "
            f"pictures with {given} ({why}); try other options or another --codec"
        )

    def write(self, frame: Frame | DeviceFrame) -> None:
        """Encodes one frame and copies what the other streams hold until its time. Raises DerainError.

        Frames of a card come with the encoder's picture, of `encoding.pixel_format` and `colour`.
        """
        picture = self._from_rgb(frame.pixels) if isinstance(frame, Frame) else frame.restored
        if (picture.width, picture.height) != self._size:
            raise DerainError(
                f"{self.path}: frame {self.frames} is {picture.width}x{picture.height}, but the others are "
                f"{self._size[0]}x{self._size[1]}"
            )
        picture.pts, picture.time_base = self._place(frame), self._base
        picture.duration = round(frame.duration * frame.time_base / self._base)
        self._times.append(picture.pts)
        self._end = (picture.pts + picture.duration) * self._base
        try:
            self._mux(self._stream.encode(picture))
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def _place(self, frame: Frame | DeviceFrame) -> int:
        """The frame's pts in the output's time base; DerainError where an AVI has no place for it."""
        if frame.pts is None:
            raise DerainError(f"{self.path}: frame {self.frames} has no time stamp")
        if self._base == frame.time_base:
            return frame.pts
        time = frame.pts * frame.time_base
        if abs(time - self.frames * self._base) > frame.time_base:
            raise DerainError(
                f"{self.path.name} counts {float(1 / self._base):g} pictures a second and can't hold one at "
                f"{float(time):.3f} s as its number {self.frames}; name the output .mkv or .mp4"
            )
        return self.frames

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            if packet.dts is not None and packet.time_base is not None:
                self._copier.copy_until(packet.dts * packet.time_base)
            self._output.mux(packet)

    def close(self) -> None:
        """Flushes, verifies and publishes under the final name. Raises DerainError."""
        if not self._done:
            self._finish(None)
            self._publication.publish()

    def keep_partial(self) -> Path | None:
        """Ends early: NAME.partial.EXT, playable, the other streams as far as the pictures go.

        None where no frame was taken yet. Raises DerainError.
        """
        if self._done:
            return None
        if not self._times:
            self.discard()
            return None
        self._finish(self._end)
        return self._publication.publish_partial()

    def _finish(self, end: Fraction | None) -> None:
        """Writes what is left, the other streams until `end`, and verifies; leaves nothing if that fails."""
        try:
            self._mux(self._stream.encode())
            self._copier.copy_until(end)
            index = self._stream.index
            self._output.close()
            verify(self._publication.temporary, self.path, index, self._times, self._base)
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        except BaseException:
            self.discard()
            raise
        self._done = True
        self._copier.close()

    def _failed(self, error: Exception) -> DerainError:
        self.discard()
        return DerainError(f"{self.path} can't be written: {reason(error)}")

    def discard(self) -> None:
        """Removes what was written; does nothing once closed or kept."""
        if self._done:
            return
        self._done = True
        with suppress(av.FFmpegError, OSError):  # what could not be written is thrown away all the same
            self._output.close()
        self._copier.close()
        self._publication.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
