"""The far end of a stream, as a process of its own; what it got is a line of JSON, with the time and the
number of each picture.

python tests/receiver.py ADDRESS '{"listen": "1"}' SECONDS
"""

import json
import sys
import time
from contextlib import suppress
from typing import Any

import av
from live_outputs import number_of


def main() -> None:
    """Until the stream ends, or for as long as it is told after the first picture."""
    address, options, seconds = sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
    seen: list[tuple[float, int]] = []
    heard = 0
    say("listening")
    with suppress(av.FFmpegError), av.open(address, options=options, timeout=30) as container:
        until = None
        for packet in container.demux():
            until = until or time.monotonic() + seconds
            if packet.stream.type == "audio":
                heard += packet.size > 0
                continue
            pictures: list[Any] = list(packet.decode())
            seen += [(float(one.time), number_of(one.to_ndarray(format="rgb24"))) for one in pictures]
            if time.monotonic() > until:
                break
    say(json.dumps({"seen": seen, "heard": heard}))


def say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
