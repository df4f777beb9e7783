"""Live video: all the user may ask for, checked before the start, then run until it is ended."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.bypass import BypassChoice, check_bypass
from derain.pipeline.live.address import Address, Kind
from derain.pipeline.live.networks import Opened, open_networks
from derain.pipeline.live.opening import SourceOptions, open_live
from derain.pipeline.live.outlets import Outlet
from derain.pipeline.live.running import LiveRun
from derain.pipeline.live.seam import Figures, LiveSource
from derain.pipeline.live.sinks import OpenOutlets, OutputJob, WebJob, open_all
from derain.pipeline.live.slots import POLICIES, Policy
from derain.pipeline.live.telling import LiveEnd, LiveFacts, LiveTeller, QuietLiveTeller, summary
from derain.pipeline.restore import check_strength

LATENCIES = (0.01, 10.0)
"""Seconds that may be asked for."""
CAN_WAIT = (Kind.FILE, Kind.PATTERN, Kind.HTTP, Kind.HLS)
"""Kinds of sources that lose nothing by waiting."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CameraJob:
    """A source. `name`: unlike all others'. `strength`: None for that of the run."""

    name: str
    address: Address
    options: SourceOptions = field(default_factory=SourceOptions)
    strength: float | None = None


@dataclass(frozen=True)
class LiveJob:
    """What is to be done.

    `model`, `engine`, `strength`, `bypass`: as of a VideoJob. `policy`: see slots.Policy. `max_latency`:
    seconds from arrival to hand-over that are kept, see contract. `duration`: seconds, None until it is
    ended. `instant`: what takes long to open does so while the CPU restores. `web`: the page,
    None for none. Raises UsageError for what can't be done.
    """

    cameras: tuple[CameraJob, ...]
    model: str | Path = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    policy: Policy = "live"
    max_latency: float | None = None
    strength: float = 1.0
    bypass: BypassChoice = "auto"
    instant: bool = True
    duration: float | None = None
    outputs: tuple[OutputJob, ...] = ()
    web: WebJob | None = None

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_bypass(self.bypass)
        if not self.cameras:
            raise UsageError("there is no source; give one, such as 0, rtsp://HOST/PATH or pattern")
        check_names([camera.name for camera in self.cameras])
        if self.policy not in POLICIES:
            raise UsageError(f"the policy is {self.policy!r}; it takes {' or '.join(POLICIES)}")
        if self.max_latency is not None and not LATENCIES[0] <= self.max_latency <= LATENCIES[1]:
            least, most = LATENCIES
            raise UsageError(
                f"the latency to keep is {self.max_latency * 1e3:g} ms; it takes {least * 1e3:g} ms to "
                f"{most:g} s"
            )
        if self.policy == "lossless":
            self._check_lossless()

    def asked(self) -> tuple[CameraJob, ...]:
        """The cameras; where no frame may be left out, none of them may leave one out by itself."""
        lossless = self.policy == "lossless"
        return tuple(
            replace(one, options=replace(one.options, lossless=lossless or one.options.lossless))
            for one in self.cameras
        )

    def _check_lossless(self) -> None:
        if self.max_latency is not None:
            raise UsageError("a latency is kept by leaving frames out; lossless leaves none out: take one")
        for camera in self.cameras:
            if camera.address.kind not in CAN_WAIT:
                raise UsageError(
                    f"{camera.name} ({camera.address.shown}) can't wait, so the policy lossless is not for "
                    "it; take live"
                )


def check_names(names: Sequence[str]) -> None:
    """Raises UsageError where a name is none, or twice there."""
    for number, name in enumerate(names):
        if not name or not name.isprintable() or len(name) > 100:
            raise UsageError(f"a camera has the name {name!r}; it takes up to 100 printable characters")
        if name in names[:number]:
            raise UsageError(f"two cameras have the name {name!r}; give each its own")


OpenSource = Callable[[CameraJob], LiveSource]


def open_camera(camera: CameraJob) -> LiveSource:
    """The source itself."""
    return open_live(camera.address, camera.name, camera.options)


def run_live(
    job: LiveJob,
    teller: LiveTeller | None = None,
    outlets: OpenOutlets | None = None,
    open_source: OpenSource = open_camera,
) -> Figures:
    """Restores live until Ctrl-C, the job's duration or the end of all sources; gives the last figures.

    `outlets`: opens others than the job's. A camera or a sink that fails harms no other. Raises UsageError
    before the start, DerainError where the engine fails. A second Ctrl-C raises KeyboardInterrupt. No thread
    outlives the call but one that hangs in a decoder or a sink, which is told.
    """
    with ExitStack() as stack:
        teller = stack.enter_context(QuietLiveTeller() if teller is None else teller)
        sources = [open_source(camera) for camera in job.asked()]
        strengths = [job.strength if one.strength is None else one.strength for one in job.cameras]
        live = LiveRun(sources, strengths, job.policy, job.max_latency, teller)
        shown = (outlets or open_all(job.outputs, job.web))(live.desk)
        live.show_on(shown)
        try:
            with suppress(KeyboardInterrupt):
                opened = open_networks(job.model, job.engine, live, job.bypass, job.instant, stack)
                teller.start(facts_of(job, opened, shown))
                live.begin(opened)
            why = live.watch(job.duration)
        finally:
            live.leave()
        if live.failure is not None:
            raise_failure(live.failure)
        figures = live.desk.figures()
        teller.end(LiveEnd("done", 0, summary(figures, why), figures))
    return figures


def raise_failure(error: BaseException) -> None:
    """What ended the run, as whoever called it is told."""
    if isinstance(error, DerainError):
        raise error
    raise DerainError(f"restoring failed: {type(error).__name__}: {error}") from error


def facts_of(job: LiveJob, opened: Opened, outlets: Sequence[Outlet]) -> LiveFacts:
    """What runs, for the first line."""
    engine = opened.engine
    return LiveFacts(
        cameras=tuple((camera.name, camera.address.shown) for camera in job.cameras),
        outputs=tuple(outlet.name for outlet in outlets),
        model=engine.card.name,
        model_version=engine.card.version,
        backend=engine.backend,
        precision=engine.precision,
        policy=job.policy,
        max_latency=job.max_latency,
        steps=tuple(step.words for step in opened.steps[1:]) if job.max_latency is not None else (),
        model_reason=opened.why,
        backend_reason=engine.backend_reason,
        precision_reason=engine.precision_reason,
        bypass_reason=opened.networks[0].watch.why,
        instant=opened.instant,
    )
