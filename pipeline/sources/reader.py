"""The process that reads from one camera or stream for another: `python -m derain.pipeline.sources.reader`.

It is given a descriptor of shared memory and the kind of the source, gets its task through standard input,
and answers through standard output, both as `telling` says.
"""

import os
import signal
import sys
import threading
from dataclasses import replace

from derain.engines.errors import DerainError
from derain.pipeline.live.address import Kind
from derain.pipeline.sources.out import Out, Reader
from derain.pipeline.sources.ring import Handing, Memory
from derain.pipeline.sources.telling import (
    STOP,
    TAKEN,
    Began,
    Over,
    Task,
    Teller,
    Why,
    receive,
)

DRAIN = 3600.0
"""Seconds for the last frames of a file to be taken over; whoever waits no longer ends this process."""


def main() -> int:
    """Reads what the task says; ends when standard input does."""
    for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)  # it is for the one who started it to say when this ends
    tell = Teller(os.dup(1))
    os.dup2(2, 1)  # what libraries print is no message
    reader = reader_of(Kind(sys.argv[2]))
    commands = os.fdopen(0, "rb", buffering=0, closefd=False)
    task = receive(commands)
    if not isinstance(task, Task):
        return 1
    handing = Handing(Memory(int(sys.argv[1]), task.memory), tell, task.options.lossless)
    out = Out(tell, handing)
    threading.Thread(target=obey, args=(commands.fileno(), handing, out), daemon=True).start()
    tell(Began())
    over = read(reader, task, out)
    handing.drain(DRAIN if over.why is Why.ENDED else 0.0)
    tell(over)
    return 0


def reader_of(kind: Kind) -> Reader:
    """What reads from such a source, its libraries loaded."""
    if kind is Kind.WEBCAM:
        from derain.pipeline.sources import webcam  # noqa: PLC0415 - needs OpenCV

        return webcam.read
    from derain.pipeline.sources import network, paced  # noqa: PLC0415 - these need FFmpeg

    return paced.read if kind is Kind.FILE else network.read


def read(reader: Reader, task: Task, out: Out) -> Over:
    """Reads until that ends, and how it did."""
    try:
        over = reader(task, out)
    except DerainError as error:
        over = Over(Why.LOST, str(error))
    return replace(over, text=task.address.hide(over.text))


def obey(commands: int, handing: Handing, out: Out) -> None:
    """Does what is told a byte at a time, until nobody is there to tell."""
    while command := os.read(commands, 1):
        if command == TAKEN:
            handing.taken_over()
        elif command == STOP:
            out.stopped.set()
    os._exit(1)


if __name__ == "__main__":
    os._exit(main())  # no library is given the chance to hang or crash at the end
