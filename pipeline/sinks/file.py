"""A video file as a sink: restored pictures encoded, every other stream copied from the input."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet

from derain.engines.errors import DerainError, UsageError
from derain.pipeline.colour import FromRGB, known_matrix, known_range
from derain.pipeline.frame import Frame
from derain.pipeline.sinks.encoder import Encoding, choose
from derain.pipeline.sinks.publish import Publication
from derain.pipeline.sinks.remux import STALE_TAGS, Copier
from derain.pipeline.sources.file import FileSource
from derain.pipeline.sources.probe import reason

MOV_FAMILY = ("mp4", "mov", "ipod", "3gp", "3g2", "psp", "f4v", "ismv")


class FileSink:
    """Encodes frames into a video file, with every other stream of `source`'s file copied.

    `size`: (width, height) of the frames where they differ from the source's (a comparison). Time stamps keep
    the source's time base where the container can; Matroska and WebM count milliseconds, MPEG-TS and
    MPEG-PS 1/90000 s, and round to them. Raises UsageError on opening where the container, the codec, an
    option or a stream won't do. The target's name appears on `close`, when the file was found whole.
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
    ) -> None:
        self.path = Path(path)
        self._source = source
        self._publication = Publication(self.path, (source.path,), overwrite)
        self._done = False
        self.frames = 0
        self._output = open_output(self._publication.temporary, self.path, source)
        self._encoding = choose(self._output, self.path, source.info, codec, crf, options or {})
        self._stream = self._add_video(size or (source.info.width, source.info.height))
        self._copier = Copier(source.path, source.stream_index, source.cut, self._output, drop_unsupported)
        self.dropped = self._copier.dropped
        info = source.info
        self._from_rgb = FromRGB(
            self._encoding.pixel_format,
            known_matrix(info.colour, info.height),
            known_range(info.colour, info.pixel_format),
        )
        self._start()

    def _add_video(self, size: tuple[int, int]) -> av.VideoStream:
        info = self._source.info
        rate = info.average_rate or info.real_rate
        stream = self._output.add_stream(self._encoding.codec, rate=rate, options=self._encoding.options)
        context = stream.codec_context
        context.width, context.height = size
        context.pix_fmt = self._encoding.pixel_format
        context.time_base = info.time_base
        stream.time_base = info.time_base
        context.flags |= Flags.frame_duration
        context.colorspace = info.colour.matrix
        context.color_range = info.colour.range
        context.color_primaries = info.colour.primaries
        context.color_trc = info.colour.transfer
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if info.display_matrix:
            stream.set_display_matrix(info.display_matrix)
        return stream

    def _start(self) -> None:
        with av.open(str(self._source.path)) as original:
            self._output.metadata.update(original.metadata)
            self._output.set_chapters(original.chapters())
            video = original.streams[self._source.stream_index]
            kept = {k: v for k, v in video.metadata.items() if not k.lower().startswith(STALE_TAGS)}
            self._stream.metadata.update(kept)
            self._stream.disposition = video.disposition
        try:
            self._output.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            self.discard()
            chosen = ", ".join(f"{name}={value}" for name, value in self._encoding.options.items())
            raise UsageError(
                f"{self.path} can't be begun with {self._encoding.codec} ({chosen or 'no options'}): "
                f"{reason(error)}"
            ) from error

    def write(self, frame: Frame) -> None:
        """Encodes one frame and copies what the other streams hold until its time. Raises DerainError."""
        picture = self._from_rgb(frame.pixels)
        picture.pts, picture.time_base, picture.duration = frame.pts, frame.time_base, frame.duration
        try:
            self._mux(self._stream.encode(picture))
        except (av.FFmpegError, OSError) as error:
            raise DerainError(f"{self.path} can't be written: {reason(error)}") from error
        self.frames += 1

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.dts is not None and packet.time_base is not None:
                self._copier.copy_until(packet.dts * packet.time_base)
            self._output.mux(packet)

    def close(self) -> None:
        """Flushes, verifies and publishes under the final name. Raises DerainError."""
        if self._done:
            return
        self._finish()
        self._publication.publish()

    def keep_partial(self) -> Path | None:
        """Ends early: NAME.partial.EXT, playable, with the other streams as far as the pictures go."""
        if self._done:
            return None
        self._finish()
        return self._publication.publish_partial()

    def _finish(self) -> None:
        self._done = True
        self._mux(self._stream.encode())
        self._copier.copy_until(None)
        self._output.close()
        self._copier.close()

    def discard(self) -> None:
        """Removes what was written; does nothing once closed or kept."""
        if self._done:
            return
        self._done = True
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


def open_output(temporary: Path, target: Path, source: FileSource) -> OutputContainer:
    """Opens the temporary file for writing in the format of its name. Raises UsageError for an unknown one."""
    options = {"avoid_negative_ts": "disabled"}
    try:
        container = av.open(str(temporary), "w")
    except ValueError as error:
        raise UsageError(
            f"the container of {target.name} is not known by the ending {target.suffix!r}; "
            "use .mp4, .mkv, .mov, .webm, .avi or .ts"
        ) from error
    if container.format.name in MOV_FAMILY:
        options["video_track_timescale"] = str(source.info.time_base.denominator)
    container.container_options.update(options)
    return container
