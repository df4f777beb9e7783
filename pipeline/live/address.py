"""Where live frames come from, as a user writes it, and how that is shown without what must stay secret.

Whatever leaves the program (logs, pages, figures, errors) shows `Address.shown` or passes `redacted`: FFmpeg
repeats addresses with their passwords in its messages.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from derain.engines.errors import UsageError

HIDDEN = "***"
EXAMPLES = "0, /dev/video0, rtsp://HOST/PATH, rtmp, http(s), udp://@:5000, srt, a video file, or pattern"

PORT_MAX = 65535
SIDE_MAX = 16384
RATE_MAX = 1000
SECRET_MIN = 3
"""A secret shorter than this is not sought in texts: it would be found in half of all words."""


class Kind(StrEnum):
    """What an address names."""

    WEBCAM = "webcam"
    RTSP = "rtsp"
    RTMP = "rtmp"
    HTTP = "http"
    HLS = "hls"
    UDP = "udp"
    SRT = "srt"
    FILE = "file"
    PATTERN = "pattern"


SCHEMES = {
    "rtsp": Kind.RTSP,
    "rtsps": Kind.RTSP,
    "rtmp": Kind.RTMP,
    "rtmps": Kind.RTMP,
    "http": Kind.HTTP,
    "https": Kind.HTTP,
    "udp": Kind.UDP,
    "srt": Kind.SRT,
}


@dataclass(frozen=True)
class Address:
    """A source. `url`: what is opened, with its credentials; the number or the device of a webcam, the path
    of a file. `shown`: the same for anyone to see. `size`, `rate`: of the pattern, None where none was
    written.
    """

    kind: Kind
    url: str
    shown: str
    size: tuple[int, int] | None = None
    rate: Fraction | None = None

    def __repr__(self) -> str:
        return f"Address({self.kind.value}, {self.shown!r})"

    def hide(self, text: str) -> str:
        """`text` without credentials, this address's own wherever and however they are written in it."""
        for secret in secrets_of(self.url) if self.kind in SCHEMES.values() else ():
            text = text.replace(secret, HIDDEN)
        return redacted(text)


def parse_address(text: str) -> Address:
    """The source that `text` names. Raises UsageError, whose sentence has no credentials in it."""
    text = text.strip()
    if not text:
        raise UsageError(f"a source is empty; it takes {EXAMPLES}")
    if any(not character.isprintable() for character in text):
        raise UsageError("a source has a character in it that can't be printed; write it anew")
    if text == "pattern" or text.startswith("pattern:"):
        return _pattern(text)
    if re.fullmatch(r"-?\d+", text, re.ASCII):
        return _numbered(text)
    if text.startswith("/dev/"):
        return _device(text)
    scheme, colon, _ = text.partition("://")
    if colon and len(scheme) > 1:
        return _network(text, scheme.lower())
    if text == "-":
        raise UsageError(f"standard input is no live source; it takes {EXAMPLES}")
    return Address(Kind.FILE, text, text)


def _pattern(text: str) -> Address:
    written = re.fullmatch(
        r"pattern(?::(?:(\d{1,6})x(\d{1,6}))?(?:@(\d{1,6}(?:\.\d{1,3})?))?)?", text, re.ASCII
    )
    if written is None:
        raise UsageError(f"{text} is no test pattern; write pattern, pattern:1280x720 or pattern:1280x720@25")
    size = None if written[1] is None else (int(written[1]), int(written[2]))
    rate = None if written[3] is None else Fraction(written[3])
    if size is not None and not all(1 <= side <= SIDE_MAX for side in size):
        raise UsageError(f"the pattern is {size[0]}x{size[1]}; its sides may be 1 to {SIDE_MAX} pixels")
    if rate is not None and not 0 < rate <= RATE_MAX:
        raise UsageError(f"the pattern has a rate of {float(rate):g}; it takes more than 0, up to {RATE_MAX}")
    return Address(Kind.PATTERN, text, text, size, rate)


def _numbered(text: str) -> Address:
    if not 0 <= int(text) <= 99:
        raise UsageError(f"the webcam's number is {text}; it takes 0 to 99, or its device (/dev/video0)")
    return Address(Kind.WEBCAM, str(int(text)), str(int(text)))


def _device(text: str) -> Address:
    if not re.fullmatch(r"/dev/(video\d+|v4l/by-(id|path)/[^/]+)", text):
        raise UsageError(f"{text} is no camera; cameras are /dev/video0 or /dev/v4l/by-id/NAME")
    return Address(Kind.WEBCAM, text, text)


def _network(text: str, scheme: str) -> Address:
    if scheme == "file":
        path = unquote(text.partition("://")[2])
        return Address(Kind.FILE, path, path)
    shown = redacted(text)
    if scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise UsageError(f"{shown} can't be opened: there is no {redacted(scheme)}:// here, only {known}")
    if re.search(r"\s", text):
        raise UsageError(f"{shown} has a space in it; write %20 for it")
    kind = SCHEMES[scheme]
    _check_host(_split(text, shown), kind, shown)
    if kind is Kind.HTTP and urlsplit(text).path.lower().endswith((".m3u8", ".m3u")):
        kind = Kind.HLS
    return Address(kind, text, shown)


def _split(text: str, shown: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        if parts.port is not None and not 0 < parts.port <= PORT_MAX:
            raise ValueError(parts.port)
    except ValueError as error:
        raise UsageError(
            f"{shown} can't be read as an address: its port must be a number from 1 to {PORT_MAX}, and a "
            "user name or password with / ? # @ : in it needs those as %2F %3F %23 %40 %3A"
        ) from error
    return parts


def _check_host(parts: SplitResult, kind: Kind, shown: str) -> None:
    listens = kind is Kind.UDP or (kind is Kind.SRT and "mode=listener" in parts.query)
    if not parts.hostname and not listens:
        raise UsageError(f"{shown} names no host; write {parts.scheme}://HOST/PATH")
    if kind in (Kind.UDP, Kind.SRT) and parts.port is None:
        raise UsageError(f"{shown} names no port; write {parts.scheme}://{parts.hostname or '@'}:5000")


# What is secret.

HARMLESS = frozenset(
    (
        *(
            "adapter",
            "camera",
            "ch",
            "channel",
            "format",
            "fps",
            "height",
            "id",
            "overlay",
            "profile",
            "quality",
        ),
        *(
            "rate",
            "resolution",
            "size",
            "stream",
            "streamtype",
            "subtype",
            "type",
            "unicast",
            "video",
            "width",
        ),
        *("buffer_size", "connect", "fifo_size", "latency", "localaddr", "localport", "mode", "pkt_size"),
        *("overrun_nonfatal", "proto", "protocol", "reuse", "timeout", "transport", "transtype", "ttl"),
    )
)
"""Keys of a query whose values anyone may see; those of any other are hidden, as what holds a token has many
names."""
NAMES = (
    r"pass(?:word|wd|phrase|code)?|pwd|pw|secret|token|jwt|sig(?:nature)?|api[_-]?key|key|auth|credential|"
    r"streamid|user(?:name)?"
)

_USER_INFO = re.compile(r"(?<=://)[^\s/?#]+@")
_RAW_SLASH = re.compile(r"(?<=://)[^\s@/?#:]+:\S*@")
"""A password with a slash as it is; rather an address too much is hidden than a password too little."""
_VALUE = r"\"[^\"]*\"|'[^']*'|[^\s&;,'\"]+"
_QUERY = re.compile(r"(?<=[?&;])([\w.~%\[\]-]+)=([^\s&;#'\"<>]*)")
_NAMED = re.compile(rf"(?i)\b((?:[\w-]+[_-])?(?:{NAMES})\s*=\s*|(?:password|token)\s*:\s*)({_VALUE})")
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization\s*:\s*)[^\r\n]+")
_SCHEME_TOKEN = re.compile(r"(?i)\b(basic|bearer)\s+[\w+/=.~-]{6,}")
_STREAM_KEY = re.compile(r"(rtmp[a-z]*://[^\s'\"<>?]*/)(?=[^\s/'\"<>?]*\d)([^\s/'\"<>?]{16,})")


def redacted(text: str) -> str:
    """`text` without user names and passwords, the values of queries (but harmless ones), headers that
    authorise, what is said to be a password or token, and the keys of RTMP streams."""
    text = _RAW_SLASH.sub(f"{HIDDEN}@", text)
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _QUERY.sub(_query_value, text)
    text = _HEADER.sub(rf"\g<1>{HIDDEN}", text)
    text = _SCHEME_TOKEN.sub(rf"\g<1> {HIDDEN}", text)
    text = _NAMED.sub(rf"\g<1>{HIDDEN}", text)
    return _STREAM_KEY.sub(rf"\g<1>{HIDDEN}", text)


def _query_value(found: re.Match[str]) -> str:
    return found[0] if found[1].lower() in HARMLESS else f"{found[1]}={HIDDEN}"


def secrets_of(url: str) -> tuple[str, ...]:
    """What of a URL is secret, as it is written and decoded, the longest first."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    user_info = parts.netloc.rpartition("@")[0]
    found = {user_info, *user_info.split(":", 1)[1:]}
    for key, value in parse_qsl(parts.query):
        if key.lower() not in HARMLESS:
            found.add(value)
    for written in parts.query.split("&"):
        key, _, value = written.partition("=")
        if key.lower() not in HARMLESS:
            found.add(value)
    found |= {unquote(secret) for secret in found}
    return tuple(sorted((one for one in found if len(one) >= SECRET_MIN), key=len, reverse=True))
