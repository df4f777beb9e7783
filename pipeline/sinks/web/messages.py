"""What a page may say over its WebSocket, one JSON object a message; all else is answered by a sentence."""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from derain.engines.errors import UsageError
from derain.pipeline.sinks.web.pictures import OVERLAYS, SIZES, View

LONGEST = 64 * 1024
"""Bytes of a message: an offer of a browser's WebRTC has some 6,000."""
MOST_CAMERAS = 256
LARGEST = 2**53
"""Numbers of JavaScript are exact below it; what is no number at all isn't below it either."""


@dataclass(frozen=True)
class Watch:
    """All cameras that are to be sent from now on, and how."""

    views: dict[str, View]


@dataclass(frozen=True)
class Got:
    """A picture has been drawn: there is room for another one."""

    camera: str
    stamp: int


@dataclass(frozen=True)
class Strength:
    camera: str
    value: float


@dataclass(frozen=True)
class Offer:
    """WebRTC: what the browser can take; asks for one camera as video."""

    camera: str
    view: View
    sdp: str


@dataclass(frozen=True)
class HangUp:
    """The video is not wanted any more."""


Message: TypeAlias = Watch | Got | Strength | Offer | HangUp


def parse(text: str) -> Message:
    """UsageError, with a sentence for who sent it, where it is no message."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("a message must be a JSON object") from None
    if not isinstance(said, dict):
        raise UsageError("a message must be a JSON object")
    kind = said.get("type")
    if kind == "watch":
        return Watch(dict(watched(entry) for entry in listed(said.get("cameras"))))
    if kind == "got":
        return Got(words(said, "camera"), int(number(said, "stamp")))
    if kind == "strength":
        return Strength(words(said, "camera"), number(said, "value"))
    if kind == "offer":
        return Offer(*watched(said), words(said, "sdp"))
    if kind == "hangup":
        return HangUp()
    raise UsageError('"type" must be watch, got, strength, offer or hangup')


def listed(value: Any) -> list[Any]:
    """The list of cameras."""
    if not isinstance(value, list) or len(value) > MOST_CAMERAS:
        raise UsageError(f'"cameras" must be a list of {MOST_CAMERAS} at most')
    return value


def watched(entry: Any) -> tuple[str, View]:
    """A camera and how it is to be seen."""
    if not isinstance(entry, dict):
        raise UsageError('each of "cameras" must be an object')
    size, overlay = entry.get("size", "full"), entry.get("overlay", "none")
    if size not in tuple(SIZES):
        raise UsageError(f'"size" must be one of {", ".join(SIZES)}')
    if overlay not in OVERLAYS:
        raise UsageError(f'"overlay" must be one of {", ".join(OVERLAYS)}')
    return words(entry, "camera"), View(size, overlay)


def words(said: dict[str, Any], key: str) -> str:
    """A text of a message."""
    value = said.get(key)
    if not isinstance(value, str):
        raise UsageError(f'"{key}" must be a text')
    return value


def number(said: dict[str, Any], key: str) -> float:
    """A number of a message."""
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise UsageError(f'"{key}" must be a number')
    return float(value)
