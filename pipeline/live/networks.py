"""Opens the networks of a live run: the one that keeps up with its cameras, and what may go on for it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from derain.engines import models
from derain.engines.engine import Engine, EngineOptions
from derain.engines.registry import off_cpu, on_cpu, open_engine
from derain.engines.swapping import Successor
from derain.pipeline.bypass import BypassChoice, looks_for_rain, open_watch
from derain.pipeline.choosing import Pace, open_chosen
from derain.pipeline.live.contract import Step, ladder
from derain.pipeline.live.workshop import Network, Workshop
from derain.pipeline.relay import Relay
from derain.pipeline.source import StreamInfo

USUAL = Pace(1280, 720, Fraction(25), sequence=True)
"""What is to be kept up with where no camera has told anything in time."""
USUAL_RATE = Fraction(25)
FRAMES_WITHIN = 2
"""So many frames must go into a latency: one may have to wait for the one before."""
SMALLER_COST = 0.6
"""What a network of the family takes beside the next larger one, roughly: it is only a first guess."""


class Known(Protocol):
    """Knows the streams of a run, as far as cameras have told by now."""

    max_latency: float | None

    def infos(self) -> Sequence[StreamInfo]: ...

    @property
    def count(self) -> int:
        """Of all cameras."""
        ...


@dataclass(frozen=True)
class Opened:
    """What restores. `steps`: what may be given up. `why`: that network, `instant`: what opens meanwhile,
    both in words."""

    networks: tuple[Network, ...]
    steps: tuple[Step, ...]
    workshop: Workshop
    relay: Relay
    why: str
    instant: str

    @property
    def engine(self) -> Engine:
        """That of the network asked for, as it is now."""
        return self.workshop.engine


def open_networks(
    model: str | Path,
    options: EngineOptions,
    known: Known,
    bypass: BypassChoice,
    instant: bool,
    stack: ExitStack,
) -> Opened:
    """Opens them; `stack` closes them. Asks `known` only where the choice hangs on it.

    Raises UsageError and DerainError as `open_engine` does.
    """
    options = replace(options, scores=looks_for_rain(model))
    later = off_cpu(options) if instant else ()
    now = on_cpu(options) if later else options
    chosen = open_chosen(model, now, pace_for(known) if is_choice(model) else None)
    engine = stack.enter_context(chosen.engine)
    relay = Relay(chosen.path, options, stack)
    first = Network(engine, open_watch(bypass, engine, now, stack), relay.spare)
    # What opens later would be faster than a smaller network on the CPU, and there is none ready elsewhere.
    paths = smaller_than(chosen.path) if known.max_latency is not None and not later else ()
    networks = (first, *(open_smaller(path, now, bypass, stack) for path in paths))
    workshop = Workshop(networks, known.count)
    relay.follow(workshop, Successor(chosen.path, options, later, engine) if later else None)
    costs = [SMALLER_COST**number for number in range(1, len(networks))]
    steps = ladder([path.stem for path in paths], costs) if known.max_latency is not None else (Step(),)
    told = f"{' or '.join(later)} opens meanwhile" if later else ""
    return Opened(networks, steps, workshop, relay, chosen.why, told)


def is_choice(model: str | Path) -> bool:
    """Whether which network is taken hangs on the cameras."""
    return model == "auto" and len(models.ranked(sequence=True)) > 1


def open_smaller(path: Path, options: EngineOptions, bypass: BypassChoice, stack: ExitStack) -> Network:
    """A smaller network of the family, opened like the one asked for."""
    options = replace(options, scores=looks_for_rain(path))
    engine = stack.enter_context(open_engine(path, options))
    return Network(engine, open_watch(bypass, engine, options, stack), Relay(path, options, stack).spare)


def smaller_than(path: Path) -> tuple[Path, ...]:
    """The networks of the family below the one at `path`, the largest first; none where that is another's."""
    ranked = models.ranked(sequence=True)
    return ranked[ranked.index(path) + 1 :] if path in ranked else ()


def pace_for(known: Known) -> Pace:
    """What all cameras together ask for, as that of one: frames of the largest size, as many as their pixels
    are worth, and quick enough for the latency."""
    infos = known.infos()
    if not infos:
        return USUAL
    largest = max(infos, key=lambda info: info.width * info.height)
    pixels = sum(info.width * info.height * (info.average_rate or USUAL_RATE) for info in infos)
    rate = Fraction(pixels) / (largest.width * largest.height) * known.count / len(infos)
    if known.max_latency is not None:
        rate = max(rate, Fraction(FRAMES_WITHIN) / Fraction(known.max_latency).limit_denominator(1000))
    return Pace(largest.width, largest.height, rate, sequence=True)
