"""From a network and what is asked of it to the plan that is wanted: its key, its graph, how it is built."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from derain.engines.build import BuildOptions, End, Profile, build_plan, check_options, going_on
from derain.engines.engine import EngineOptions
from derain.engines.modelfile import ModelFile
from derain.engines.plans import aside
from derain.engines.plans.folder import UnsafeError
from derain.engines.plans.key import PlanKey, Target, graph_sha256, options_of
from derain.engines.plans.manifest import Manifest
from derain.engines.plans.store import Store
from derain.engines.trt import Progress, Runtime
from derain.engines.trt_graph import graph_for


@dataclass(frozen=True)
class Made:
    """A plan that was built, as `obtain` takes it."""

    data: bytes
    seconds: float
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A plan that is wanted: what it hangs on, and what it is built of. `cache_dir`: see EngineOptions."""

    key: PlanKey
    graph: onnx.ModelProto
    runtime: Runtime
    options: BuildOptions
    cache_dir: Path | None = None

    def build(self, progress: Progress = going_on) -> Made:
        """Builds it, see `build_plan`; what kernels are timed with is kept for the next on this device."""
        place = self._timings()
        before = aside.kept(place)
        plan = build_plan(self.graph, self.runtime, replace(self.options, timing_cache=before), progress)
        if plan.timing_cache != before:
            aside.keep(place, plan.timing_cache)
        details = {
            "layers": dict(plan.layers),
            "io": [[end.name, end.given, end.dtype, list(end.shape)] for end in plan.io],
            "warnings": list(plan.warnings),
        }
        return Made(plan.data, plan.seconds, details)

    def _timings(self) -> Path | None:
        """Where they are kept; None where the runtime times nothing, or there is no place."""
        if not self.runtime.quirks.timing_cache:
            return None
        try:
            store = Store.open(self.cache_dir)
        except UnsafeError:
            return None  # which `obtain` tells
        return aside.timings_of(store, self.key.backend, self.key.version, self.key.target)


def wanted(
    model: ModelFile,
    options: EngineOptions,
    runtime: Runtime,
    target: Target,
    precision: str,
    profiles: tuple[Profile, ...],
    workspace: int | None = None,
) -> Wanted:
    """The plan of `model` (an INT8 or FP8 file where the precision is that) for `target`.

    `options`: what is asked of the graph: dtype, attention, scores, keep. Raises UsageError for what the
    network, the graph or the runtime does not take.
    """
    # A plan for the device at hand is built by looking at it; one for others is told which.
    capabilities = () if target.device else target.capabilities
    build = BuildOptions(precision, profiles, model.states, workspace, capabilities)
    check_options(runtime, build)
    graph = graph_for(model, options, precision)
    key = PlanKey(
        network=model.card.name,
        backend=runtime.name,
        precision=precision,
        options=_options(options, workspace),
        shapes=tuple(told(profile) for profile in profiles),
        onnx=graph_sha256(graph),
        version=".".join(map(str, runtime.version)),
        target=target,
    )
    return Wanted(key, graph, runtime, build, options.cache_dir)


def _options(options: EngineOptions, workspace: int | None) -> tuple[tuple[str, str], ...]:
    """What is asked, but for what is usual."""
    usual = EngineOptions()
    asked = {name: getattr(options, name) for name in ("dtype", "attention", "scores", "keep")}
    different = {name: value for name, value in asked.items() if value != getattr(usual, name)}
    return options_of(different | ({} if workspace is None else {"workspace": workspace}))


def told(profile: Profile) -> str:
    """As a key has it: "1x720x1280", or least..best..most."""
    shapes = ["x".join(map(str, shape)) for shape in profile]
    return shapes[0] if len(set(shapes)) == 1 else "..".join(shapes)


def ends_of(manifest: Manifest) -> tuple[End, ...]:
    """The ends that the plan was built with, for `check_engine`."""
    return tuple(
        End(name, given, dtype, tuple(shape)) for name, given, dtype, shape in manifest.details["io"]
    )
