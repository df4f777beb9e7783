"""The plans that an engine runs: from the cache, or built and compared with the network on the CPU."""

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from derain.engines import models
from derain.engines.build import Profile, Shape
from derain.engines.device.seam import DeviceFacts, DeviceMemoryError
from derain.engines.engine import Engine, EngineOptions
from derain.engines.modelfile import ModelFile, open_model
from derain.engines.parity import Parity
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.key import PlanKey, Target, capability
from derain.engines.plans.ladder import near_enough
from derain.engines.plans.obtain import obtain
from derain.engines.plans.planning import told, wanted
from derain.engines.plans.store import Store, StoredPlan
from derain.engines.selfcheck import check, width_for_tiles
from derain.engines.trt import Runtime
from derain.engines.volumes import most_pixels

PROBE, WIDEST_PROBE = 256, 1024
"""Pixels a side of what plans for all sizes are compared with the CPU on, wider where two tiles need it."""
MOST_PROBED = 4_000_000
"""Pixels of a batch up to which a plan for one shape is compared: the CPU takes seconds for so many."""

log = logging.getLogger(__name__)

Run = Callable[[ModelFile, StoredPlan], Engine]
"""Opens an engine that runs that plan of that file."""


def usual_profiles(model: ModelFile) -> tuple[Profile, Profile]:
    """Single frames up to 4K, best at 1080p; and batches, best of tiles, up to 8 frames of 1080p.

    Less where TensorRT could not address the network's largest tensor.
    """
    multiple_of, pixels = model.card.multiple_of, most_pixels(model)

    def fitting(best: Shape, most: Shape) -> Profile:
        high = _within(most, pixels, multiple_of)
        low = min(best[0], high[0]), min(best[1], high[1]), min(best[2], high[2])
        return Profile((1, multiple_of, multiple_of), _padded(low, multiple_of), high)

    frames = fitting((1, 1080, 1920), (1, 2304, 4096))
    return frames, fitting((4, 1024, 1024), (8, 1088, 1920))


def target_of(runtime: Runtime, facts: DeviceFacts) -> Target:
    """What plans are built for: where the runtime builds for capabilities, all cards like the one here."""
    if runtime.quirks.capabilities:
        return Target.portable((capability(facts.capability),))
    return Target.of(facts)


class Plans:
    """Plans of the network in `model` for a device of these `facts`. `run`: to compare them."""

    def __init__(
        self, model: ModelFile, options: EngineOptions, runtime: Runtime, facts: DeviceFacts, run: Run
    ) -> None:
        self._model, self._options, self._runtime, self._run = model, options, runtime, run
        self._facts, self._target = facts, target_of(runtime, facts)

    def usual(self, precision: str) -> StoredPlan:
        """For the usual shapes, in `precision` or the first one up that is near enough to the network.

        Raises UsageError, DerainError, MemoryShortError.
        """
        card = self._model.card
        width = min(max(PROBE, width_for_tiles(card)), WIDEST_PROBE)
        probe = _padded((1, PROBE, width), card.multiple_of)
        obtained = partial(self._obtained, usual_profiles(self._model), probe)
        return near_enough(precision, obtained)

    def kept(self, like: PlanKey, shape: Shape) -> StoredPlan | None:
        """One that was built for `shape` alone, else what `like` is of; None where there is none, or it is
        not near enough to the network. It is compared now if nobody has done so."""
        profile = Profile.fixed(shape)
        with suppress(UnsafeError):
            store = Store.existing(self._options.cache_dir)
            key = replace(like, shapes=(told(profile),), target=self._target)
            if store is not None and isinstance(store.find(key), StoredPlan):
                found = self._obtained((profile,), shape, key.precision)
                parity = found.manifest.parity
                return found if parity is None or parity.passed else None
        return None

    def only_for(self, shape: Shape, precision: str) -> StoredPlan:
        """For `shape` alone, as `usual`; MemoryShortError where it is more than can be addressed."""
        if math.prod(shape) > most_pixels(self._model):
            raise DeviceMemoryError(f"a batch of shape {shape} is more than {self._runtime.told} can address")
        return near_enough(precision, partial(self._obtained, (Profile.fixed(shape),), shape))

    def file_of(self, precision: str) -> ModelFile:
        """What a plan of `precision` is built of; of an 8-bit file, for more, the fp32 one beside it."""
        if self._model.card.precision in (precision, "fp32"):
            return self._model
        return open_model(models.exact_of(self._model.path))

    def _obtained(self, profiles: tuple[Profile, ...], probe: Shape, precision: str) -> StoredPlan:
        file = self.file_of(precision)
        plan = wanted(file, self._options, self._runtime, self._target, precision, profiles)
        count, height, width = probe
        compare = partial(self._compared, file, probe) if count * height * width <= MOST_PROBED else None
        return obtain(plan.key, lambda: plan.build(Progress()), compare, self._options.cache_dir)

    def _compared(self, file: ModelFile, probe: Shape, stored: StoredPlan) -> Parity:
        """With the network on the CPU, in fp32 where there is its file."""
        exact = models.exact_of(self._model.path)
        with self._run(file, stored) as engine, on_cpu(exact, self._options) as reference:
            return check(engine, reference, probe, self._options.dtype)


class Progress:
    """Tells the log how far a build has come, in quarters."""

    def __init__(self) -> None:
        self._quarters = 0

    def __call__(self, what: str, share: float) -> bool:
        if int(4 * share) > self._quarters:
            self._quarters = int(4 * share)
            log.info("%d %% built (%s)", 25 * self._quarters, what)
        return True


def on_cpu(path: Path, options: EngineOptions) -> Engine:
    """The network in the file, in fp32 if it is, opened on the CPU to give the same."""
    from derain.engines.registry import open_engine  # noqa: PLC0415 - it is what opens this

    precision = "fp32" if open_model(path).card.precision == "fp32" else "auto"
    return open_engine(path, replace(options, backend="cpu", precision=precision))


def _padded(shape: Shape, multiple_of: int) -> Shape:
    """The least that the network takes from `shape` on."""
    count, height, width = shape
    return count, -(-height // multiple_of) * multiple_of, -(-width // multiple_of) * multiple_of


def _within(shape: Shape, pixels: int, multiple_of: int) -> Shape:
    """`shape`, or as many of its frames, and as much of one, as have so many pixels."""
    count, height, width = _padded(shape, multiple_of)
    count = max(1, min(count, pixels // (height * width)))
    share = min(1.0, math.sqrt(pixels / (height * width)))
    sides = [int(side * share) // multiple_of * multiple_of for side in (height, width)]
    return count, max(multiple_of, sides[0]), max(multiple_of, sides[1])
