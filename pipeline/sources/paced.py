"""A video file played at its own pace, once or again and again, as if it were a camera."""

from fractions import Fraction
from pathlib import Path

import av

from derain.pipeline.sources.out import Out
from derain.pipeline.sources.pace import Pace
from derain.pipeline.sources.probe import open_input, reason
from derain.pipeline.sources.streaming import Streaming
from derain.pipeline.sources.telling import Over, Task, Why
from derain.pipeline.sources.words import Words


def read(task: Task, out: Out) -> Over:
    """Reads a file to its end, and again where it is to loop; times go on where it begins anew."""
    words, pace, end = Words(), Pace(), Fraction(0)
    streaming: Streaming | None = None
    while True:
        decoded = 0 if streaming is None else streaming.decoded
        try:
            with open_input(Path(task.address.url)) as container:
                streaming = Streaming(container, out, words, task.packets, end, streaming)
                end = play(streaming, pace, end, out)
        except (av.FFmpegError, OSError) as error:
            return Over(Why.LOST, f"the file can't be read on ({reason(error)})")
        if out.stopped.is_set() or not task.options.loop:
            return Over(Why.ENDED, "the file is at its end")
        if streaming.decoded == decoded:
            return Over(Why.LOST, "none of its pictures can be decoded")


def play(streaming: Streaming, pace: Pace, shift: Fraction, out: Out) -> Fraction:
    """Plays it once; the seconds at which it ended."""
    end = shift
    for packet in streaming.packets():
        if out.stopped.is_set():
            break
        if packet.dts is not None:
            lasts = max(packet.dts, packet.pts or packet.dts) + (packet.duration or 0)
            end = max(end, lasts * packet.time_base + shift)
            pace.wait(packet.dts * packet.time_base + shift, out.stopped)
        streaming.take(packet)
    return end
