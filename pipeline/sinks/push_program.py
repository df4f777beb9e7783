"""The process that pushes one stream: what it reads on standard input it wraps and sends.

PyAV holds the whole interpreter while it connects, and FFmpeg can't be interrupted in it; a process can be
killed. It reads pickles: first (address, format, size, sounds, options, seconds that one message may take),
then ("picture", data, pts, dts, key) in 1/90000 s or ("sound", index, data, seconds, duration); it ends with
its input. It says "works" when the first picture has gone, or "failed: " and why. The address comes this way
as everybody may read command lines.
"""

import pickle
import signal
import sys
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.packet import Packet

from derain.pipeline.sinks.wrapping import Wrapping

CLOCK = Fraction(1, 90_000)


def watch(seconds: int) -> None:
    """The system ends this process unless it is called again in time, as whoever started it may be gone and
    FFmpeg waits for ever; 0 for never."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def read(source: BinaryIO) -> Any:
    """The next message, None at the end; there is no hurry meanwhile."""
    watch(0)
    try:
        return pickle.load(source)
    except (EOFError, pickle.UnpicklingError):
        return None


def pushed(wrapping: Wrapping, message: Any) -> bool:
    """Sends it; whether it was a picture."""
    kind, *rest = message
    if kind == "sound":
        wrapping.add_sound(*rest)
        return False
    data, pts, dts, key = rest
    packet = Packet(data)
    packet.pts, packet.dts, packet.time_base, packet.is_keyframe = pts, dts, CLOCK, key
    wrapping.add_picture(packet)
    return True


def push(source: BinaryIO) -> None:
    """All of it."""
    begin = read(source)
    if begin is None:
        return
    address, format_name, size, sounds, options, longest = begin
    wrapping = Wrapping(address, format_name, size, "h264", sounds, options)
    works = False
    while (message := read(source)) is not None:
        watch(longest)
        if pushed(wrapping, message) and not works:
            works = True
            say("works")
    watch(longest)
    wrapping.close()


def say(words: str) -> None:
    """To whoever started this."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def main() -> int:
    """Until the input ends, or the stream fails."""
    try:
        push(sys.stdin.buffer)
    except (av.FFmpegError, OSError, ValueError) as error:
        say(f"failed: {getattr(error, 'strerror', None) or error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
