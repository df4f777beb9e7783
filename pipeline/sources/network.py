"""Streams from the network, through FFmpeg: RTSP over TCP or UDP, RTMP, HTTP, HLS, MPEG-TS over UDP, SRT."""

import time
from fractions import Fraction

import av
from av.container import InputContainer

from derain.pipeline.live.address import Kind
from derain.pipeline.sources.out import Out
from derain.pipeline.sources.pace import Pace
from derain.pipeline.sources.probe import reason
from derain.pipeline.sources.streaming import Streaming
from derain.pipeline.sources.telling import Over, Task, Why
from derain.pipeline.sources.words import Words

TRANSPORT = {"auto": "tcp+udp", "tcp": "tcp", "udp": "udp"}
"""RTSP's, as FFmpeg writes them; of several TCP is tried first."""
LOOK = {Kind.RTSP: 0.3, Kind.RTMP: 0.5}
"""Seconds of a stream that are read to find out what it is; these two say it beforehand. What is looked at is
shown too, but comes so much later."""
LOOK_ELSE = 1.5
ROOM = 1 << 20
"""Bytes that the system keeps of a UDP stream until they are read."""
GONE = "the stream ended"


def options_of(task: Task) -> dict[str, str]:
    """FFmpeg's options for a stream."""
    kind = task.address.kind
    options = {"analyzeduration": str(round(LOOK.get(kind, LOOK_ELSE) * 1e6))}
    if kind is Kind.RTSP:
        options["rtsp_transport"] = TRANSPORT[task.options.transport]
        options["rtsp_flags"] = "prefer_tcp"
        options["allowed_media_types"] = "video+audio" if task.packets else "video"
        options["buffer_size"] = str(ROOM)
    if kind is Kind.UDP:
        options |= {"buffer_size": str(ROOM), "overrun_nonfatal": "1"}
    return options


def open_stream(task: Task) -> InputContainer:
    """Connects, and finds out what comes."""
    return av.open(
        task.address.url,
        "r",
        format="mpegts" if task.address.kind in (Kind.UDP, Kind.SRT) else None,
        options=options_of(task),
        metadata_errors="replace",
        timeout=(task.options.open_timeout, task.options.read_timeout),
    )


def paced(task: Task, container: InputContainer) -> bool:
    """Whether it comes in lumps, or as fast as the network is, and so is to be played at its own pace."""
    return task.address.kind is Kind.HLS or (task.address.kind is Kind.HTTP and bool(container.duration))


def read(task: Task, out: Out) -> Over:
    """Reads a stream until it ends, in whatever way."""
    words, began, limit, opening = Words(), time.monotonic(), task.options.open_timeout, True
    try:
        with open_stream(task) as container:
            streaming = Streaming(container, out, words, task.packets)
            pace = Pace() if paced(task, container) else None
            began, opening, limit = time.monotonic(), False, task.options.read_timeout
            for packet in streaming.packets():
                waited = time.monotonic() - began
                if out.stopped.is_set():
                    break
                if waited >= limit:  # FFmpeg gives what it has when its time is up
                    return Over(Why.LOST, silent(limit))
                if pace is not None and packet.dts is not None:
                    waited = pace.wait(Fraction(packet.dts) * packet.time_base, out.stopped)
                streaming.take(packet, waited)
                began = time.monotonic()
    except (av.FFmpegError, ValueError) as error:
        return why(error, opening, time.monotonic() - began >= 0.9 * limit, limit, words.reason)
    return Over(Why.LOST, GONE)


def silent(limit: float) -> str:
    """That nothing came."""
    return f"nothing came for {limit:g} s"


def why(error: Exception, opening: bool, late: bool, limit: float, words: str) -> Over:
    """How a connection ended that `error` ended, in a sentence. `late`: after its time was up."""
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        code = "401" if isinstance(error, av.HTTPUnauthorizedError) else "403"
        return Over(Why.REFUSED, f"the server refuses the user name or the password ({code})")
    if late or isinstance(error, av.error.ExitError | av.error.TimeoutError):
        said = f"no answer within {limit:g} s" if opening else silent(limit)
    elif isinstance(error, av.HTTPNotFoundError):
        said = "the server has nothing at this path (404)"
    elif isinstance(error, av.error.ConnectionRefusedError):
        said = "nothing listens at this address (connection refused)"
    elif isinstance(error, av.InvalidDataError):
        said = "what comes is no video that can be read"
    elif isinstance(error, av.EOFError):
        said = GONE
    else:
        said = words[:1].lower() + words[1:] or reason(error)
    return Over(Why.LOST, said)
