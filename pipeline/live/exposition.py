"""A live run as Prometheus reads it: a text that names each figure, with a label for each camera."""

from collections.abc import Callable, Iterator, Sequence

from derain.pipeline.live.seam import BOUNDS, CameraFigures, Figures, State
from derain.pipeline.prometheus import Figure, lines_of, one

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text."""

Of = Callable[[CameraFigures], float | None]

GAUGES: tuple[tuple[str, str, Of], ...] = (
    ("camera_fps", "Frames a second that a camera gives, lately.", lambda c: c.camera_fps),
    ("restored_fps", "Frames a second that are restored, lately.", lambda c: c.restored_fps),
    ("camera_rain", "Rain in the last frame, 0 to 1.", lambda c: c.rain),
    ("camera_drops", "The share of the picture under drops.", lambda c: c.drops),
    ("camera_strength", "How much of the rain is taken, 0 to 1.", lambda c: c.strength),
    ("camera_up", "1 while frames come.", lambda c: c.state is State.LIVE),
    ("camera_stepped_down", "1 while something is given up to be in time.", lambda c: c.steps != ""),
)
COUNTERS: tuple[tuple[str, str, Of], ...] = (
    ("decoded_total", "Frames that came.", lambda c: c.decoded),
    ("restored_total", "Frames restored and handed over.", lambda c: c.restored),
    ("dropped_total", "Frames not restored, as newer ones were there.", lambda c: c.dropped),
    ("late_total", "Frames handed over after the budget.", lambda c: c.late),
    ("passed_total", "Frames handed over as they came, as nothing else was in time.", lambda c: c.passed),
    ("held_total", "Corrupt frames replaced by the last good one.", lambda c: c.held),
    ("reconnects_total", "Connections after the first.", lambda c: c.reconnects),
)


def text_of(figures: Figures) -> str:
    """A run at one moment in the text format that Prometheus reads."""
    return lines_of(all_of(figures))


def all_of(figures: Figures) -> Iterator[Figure]:
    """All there is to tell."""
    yield one("live_seconds_total", "counter", "Seconds since the run began.", figures.seconds)
    yield one("live_memory_bytes", "gauge", "Memory that the process holds.", figures.memory)
    engine = labels(model=figures.model, backend=figures.backend, precision=figures.precision)
    yield Figure("live_engine", "gauge", "The engine that restores.", [(engine, 1)])
    for name, words, of in GAUGES:
        yield of_cameras(name, "gauge", words, of, figures.cameras)
    for name, words, of in COUNTERS:
        yield of_cameras(name, "counter", words, of, figures.cameras)
    words = "Seconds of a frame in each stage; latency: from its arrival to the hand-over."
    values = [value for camera in figures.cameras for value in buckets(camera)]
    yield Figure("live_latency_seconds", "histogram", words, values)


def of_cameras(name: str, kind: str, words: str, of: Of, cameras: Sequence[CameraFigures]) -> Figure:
    """A figure with a value for each camera that has one."""
    values = [(labels(camera=camera.name), of(camera)) for camera in cameras]
    return Figure(f"live_{name}", kind, words, [(name, value) for name, value in values if value is not None])


def buckets(camera: CameraFigures) -> Iterator[tuple[str, float]]:
    """The histograms of a camera, by stage."""
    for stage, histogram in camera.histograms.items():
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
            yield "_bucket" + labels(camera=camera.name, stage=stage, le=bound), count
        place = labels(camera=camera.name, stage=stage)
        yield f"_sum{place}", histogram.total
        yield f"_count{place}", histogram.counts[-1]


def labels(**values: str) -> str:
    """Labels as they stand behind a name, whatever is in them."""
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in values.items()) + "}"


def escaped(value: str) -> str:
    """A value between quotes."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
