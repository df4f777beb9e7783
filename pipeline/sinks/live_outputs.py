"""Live outputs as a user writes them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

from derain.engines.errors import UsageError
from derain.pipeline.live.address import SCHEMES, parse_address, redacted
from derain.pipeline.live.seam import Control, LiveSink
from derain.pipeline.sinks.own_thread import Each
from derain.pipeline.sinks.recording import TracksOf

KINDS = (
    "rtsp://HOST/PATH, rtmp://, srt://, udp://HOST:PORT, hls:FOLDER, record:FOLDER, evidence:FOLDER, window "
    "or virtual"
)
NAME = "{camera}"
"""What stands for the camera's name in an address."""
TIMES = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
PICTURES = Path("derain-pictures")
"""Where a window puts snapshots and recordings, in the folder that the program was started in."""


@dataclass(frozen=True)
class Needs:
    """What outputs need of a run. `tracks`: the streams of a camera's connection now, as `LiveSource.tracks`
    tells them. `about`: what restores now, `evidence.about_engine` of the engine. `leave`: ends the run, when
    the user closes the window."""

    cameras: Sequence[str]
    control: Control
    tracks: TracksOf
    about: Callable[[], Mapping[str, str]] = dict
    leave: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Written:
    """An output taken apart. `shown`: as it may be shown to anyone, without credentials."""

    kind: str
    rest: str
    options: Mapping[str, str]
    shown: str


def shown_output(text: str) -> str:
    """An output as it may be shown to anyone, without credentials."""
    return redacted(text) if "://" in text else text


def open_output(text: str, needs: Needs) -> LiveSink:
    """The output that `text` names, for all cameras of `needs`. Raises UsageError, whose sentence has no
    credentials in it, for what is none, or can't be opened."""
    written = take_apart(text.strip())
    if written.kind in SCHEMES:
        return open_pushes(written, needs)
    openers = {
        "hls": open_hls_folders,
        "record": open_recordings,
        "evidence": open_evidences,
        "window": open_the_window,
        "virtual": open_virtual_camera,
    }
    if written.kind not in openers:
        raise UsageError(f"{written.shown!r} is no output; take {KINDS}")
    return openers[written.kind](written, needs)


def take_apart(text: str) -> Written:
    """Kind, address or folder, and options."""
    shown = shown_output(text)
    if any(not character.isprintable() for character in text):
        raise UsageError("an output has a character in it that can't be printed; write it anew")
    head, _, query = text.partition("?")
    kind, _, rest = head.partition(":")
    if rest.startswith("//"):
        return Written(kind.lower(), text, {}, shown)
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not value or name in options:
            raise UsageError(
                f"{shown} has the option {pair!r}; options are NAME=VALUE, each once, joined by &"
            )
        options[name] = unquote(value)
    return Written(kind, rest, options, shown)


def open_pushes(written: Written, needs: Needs) -> LiveSink:
    """A stream for each camera; one address takes one."""
    from derain.pipeline.sinks.push import open_push  # noqa: PLC0415 - each output is imported when it is used

    if NAME not in written.rest and len(needs.cameras) > 1:
        raise UsageError(
            f"{written.shown} takes one camera, and there are {len(needs.cameras)}; write {NAME} in it where "
            "the address differs"
        )
    addresses = {camera: written.rest.replace(NAME, quote(camera, safe="")) for camera in needs.cameras}
    return each(needs, lambda camera: open_push(parse_address(addresses[camera]), camera, needs.tracks))


def open_hls_folders(written: Written, needs: Needs) -> LiveSink:
    """hls:FOLDER?segment=2s&most=6."""
    from derain.pipeline.sinks.hls import Hls, open_hls  # noqa: PLC0415

    options = Options(written, ("segment", "most"))
    made = Hls(options.folder, options.seconds("segment", 2.0), options.whole("most", 6))
    return each(needs, lambda camera: open_hls(made, camera, needs.tracks))


def open_recordings(written: Written, needs: Needs) -> LiveSink:
    """record:FOLDER?segment=10m&size=500MB&keep=7d&most=20GB&free=256MB."""
    from derain.pipeline.sinks.recording import Recording, open_recording  # noqa: PLC0415
    from derain.pipeline.sinks.retention import FREE_LEAST, Keep  # noqa: PLC0415

    options = Options(written, ("segment", "size", "keep", "most", "free"))
    keep = Keep(
        seconds=options.seconds("keep", 0.0) or None,
        most_bytes=options.bytes("most", 0) or None,
        free_least=options.bytes("free", FREE_LEAST),
    )
    made = Recording(
        options.folder, options.seconds("segment", 600.0), options.bytes("size", 0) or None, keep
    )
    return each(needs, lambda camera: open_recording(made, camera, needs.tracks))


def open_evidences(written: Written, needs: Needs) -> LiveSink:
    """evidence:FOLDER?segment=60s."""
    from derain.pipeline.sinks.evidence import Evidence, open_evidence  # noqa: PLC0415

    options = Options(written, ("segment",))
    made = Evidence(options.folder, options.seconds("segment", 60.0))
    return each(needs, lambda camera: open_evidence(made, camera, needs.tracks, needs.about))


def open_the_window(written: Written, needs: Needs) -> LiveSink:
    """window, or window:FOLDER for its snapshots and recordings."""
    from derain.pipeline.sinks.window import open_window  # noqa: PLC0415

    folder = Options(replace(written, rest=written.rest or str(PICTURES)), ()).folder
    return open_window(needs.cameras, needs.control, needs.tracks, folder, needs.leave)


def open_virtual_camera(written: Written, needs: Needs) -> LiveSink:
    """virtual, or virtual:/dev/video9?size=1280x720."""
    from derain.pipeline.live.quantities import parse_size  # noqa: PLC0415
    from derain.pipeline.sinks.virtual import SIZE, open_virtual  # noqa: PLC0415

    options = Options(written, ("size",))
    if len(needs.cameras) > 1:
        raise UsageError(f"a virtual camera takes one camera, and there are {len(needs.cameras)}")
    size = parse_size(written.options["size"]) if "size" in options.given else SIZE
    return each(needs, lambda camera: open_virtual(camera, size, written.rest or None))


def each(needs: Needs, open_one: Callable[[str], LiveSink]) -> LiveSink:
    """A sink for each camera, as one; where one can't be opened, those before it are closed."""
    sinks: dict[str, LiveSink] = {}
    try:
        for camera in needs.cameras:
            sinks[camera] = open_one(camera)
    except BaseException:
        for sink in sinks.values():
            sink.close()
        raise
    return Each(sinks)


class Options:
    """Folder and options of an output, read as what they should be; raises UsageError for any other than
    `known`."""

    def __init__(self, written: Written, known: Sequence[str]) -> None:
        self.given = written.options
        self._written = written
        for name in self.given:
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise UsageError(f"{written.shown} has the option {name!r}; {takes}")

    @property
    def folder(self) -> Path:
        """The folder that is named."""
        if not self._written.rest:
            raise UsageError(f"{self._written.shown} names no folder; write {self._written.kind}:FOLDER")
        return Path(self._written.rest)

    def seconds(self, name: str, default: float) -> float:
        """A time such as 10m or 7d."""
        return default if name not in self.given else self._number(name, TIMES, "10s, 5m, 2h or 7d")

    def bytes(self, name: str, default: int) -> int:
        """A size such as 500MB."""
        return default if name not in self.given else round(self._number(name, BYTES, "500MB or 20GB"))

    def whole(self, name: str, default: int) -> int:
        """A whole number."""
        text = self.given.get(name, str(default))
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
            raise UsageError(f"{self._written.shown} has {name}={text}; it takes a whole number")
        return int(text)

    def _number(self, name: str, units: Mapping[str, float], examples: str) -> float:
        text = self.given[name]
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([A-Za-z]+)", text, re.ASCII)
        if found is None or found[2] not in units or not float(found[1]):
            raise UsageError(f"{self._written.shown} has {name}={text}; it takes {examples}")
        return float(found[1]) * units[found[2]]
