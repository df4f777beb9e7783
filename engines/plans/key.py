"""What a plan hangs on, and in which of it two keys differ."""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

import onnx

from derain.engines.device.seam import DeviceFacts


def this_system() -> str:
    """Where plans run that are built here: they are not portable from one system to another."""
    return f"{platform.system()} {platform.machine()}".lower()


@dataclass(frozen=True)
class Target:
    """What a plan is to run on.

    `device`: its name; "" for any device of these `capabilities`, under any driver: such a plan is portable.
    `capabilities`: the digits of each, ("86", "89"), no two alike. `driver`: "13.1".
    """

    device: str
    capabilities: tuple[str, ...]
    driver: str
    system: str = ""

    @classmethod
    def of(cls, facts: DeviceFacts) -> "Target":
        """The device of these facts, in this machine."""
        driver = f"{facts.driver[0]}.{facts.driver[1]}"
        return cls(facts.name, (capability(facts.capability),), driver, this_system())

    @classmethod
    def portable(cls, capabilities: tuple[str, ...]) -> "Target":
        """Any device of these capabilities in a machine of this system."""
        return cls("", capabilities, "", this_system())


def capability(numbers: tuple[int, int]) -> str:
    """(8, 9) as "89"."""
    return f"{numbers[0]}{numbers[1]}"


class Difference(NamedTuple):
    """A field in which a plan is not what is wanted, and both values in words."""

    field: str
    found: str
    wanted: str


@dataclass(frozen=True)
class PlanKey:
    """Everything a plan hangs on.

    What it is for: `network` (its name), `backend`, `precision`, `options` (all that was asked of the graph
    and of the builder, by name), `shapes` ("1x720x1280", or least..best..most).
    What it came of: `onnx` (sha256 of the graph that was compiled), `version` of the backend, and the target.
    """

    network: str
    backend: str
    precision: str
    options: tuple[tuple[str, str], ...]
    shapes: tuple[str, ...]
    onnx: str
    version: str
    target: Target

    def digest(self) -> str:
        """The name under which it is kept: sha256 (hex) of all its fields."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def purpose(self) -> tuple[object, ...]:
        """Plans of one purpose stand in for one another once they are up to date."""
        return self.network, self.backend, self.precision, self.options, self.shapes

    def __str__(self) -> str:
        return f"{self.network} in {self.precision} for {self.backend}, {', '.join(self.shapes)}"


def options_of(options: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Options as a key has them, in the order of their names."""
    return tuple(sorted((name, str(value)) for name, value in options.items()))


def graph_sha256(graph: onnx.ModelProto) -> str:
    """The sha256 (hex) of a graph, its metadata (the card, which tells of quality and speed) left out."""
    bare = onnx.ModelProto()
    bare.CopyFrom(graph)
    del bare.metadata_props[:]
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def differences(found: PlanKey, wanted: PlanKey) -> tuple[Difference, ...]:
    """Why a plan with the key `found` can't stand in where `wanted` is; nothing where it can."""
    return tuple(_differences(found, wanted))


def _differences(found: PlanKey, wanted: PlanKey) -> Iterator[Difference]:
    for field in ("network", "backend", "precision", "version", "onnx"):
        here, there = getattr(found, field), getattr(wanted, field)
        if here != there:
            yield Difference(field, here[:16], there[:16])
    if found.options != wanted.options:
        yield Difference("options", _told(found.options), _told(wanted.options))
    if found.shapes != wanted.shapes:
        yield Difference("shapes", ", ".join(found.shapes), ", ".join(wanted.shapes))
    yield from _target_differences(found.target, wanted.target)


def _target_differences(found: Target, wanted: Target) -> Iterator[Difference]:
    if found.system != wanted.system:
        yield Difference("system", found.system, wanted.system)
    if not set(wanted.capabilities) <= set(found.capabilities):
        yield Difference("capability", ", ".join(found.capabilities), ", ".join(wanted.capabilities))
    if not found.device:
        return
    if found.device != wanted.device:
        yield Difference("device", found.device, wanted.device or "any device")
    if found.driver != wanted.driver:
        yield Difference("driver", found.driver, wanted.driver or "any driver")


def _told(options: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options) or "none"
