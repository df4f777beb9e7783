"""What FFmpeg says while it reads: the only way to hear of packets that were lost on the way, and why a host
was not found. For a process that reads one stream."""

import logging
import re

import av

LOST = re.compile(r"RTP: missed \d+ packets|max delay reached|Packet corrupt")
KEPT = re.compile(
    r"resolve|refused|unreachable|route|denied|timed out|failed|No such|not supported", re.IGNORECASE
)


class Words(logging.Handler):
    """Listens from now on."""

    def __init__(self) -> None:
        super().__init__()
        self._lost = False
        self.reason = ""
        logger = logging.getLogger("libav")
        logger.addHandler(self)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        av.logging.set_skip_repeated(False)
        av.logging.set_level(av.logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """One thing that was said."""
        text = record.getMessage().strip()
        if LOST.search(text):
            self._lost = True
        elif record.levelno >= logging.ERROR and KEPT.search(text):
            self.reason = text

    def lost(self) -> bool:
        """Whether packets were lost since this was last asked."""
        lost, self._lost = self._lost, False
        return lost
