"""The card, the machine around it, what is installed, and which backends run."""

import shutil
import subprocess
from collections.abc import Iterator

from derain.benchmarks.gpu.plan import Plan, Row
from derain.benchmarks.machine import machine
from derain.engines.device import opening
from derain.engines.doctor import versions
from derain.engines.errors import DerainError
from derain.engines.registry import availability

ASKED = (
    *(
        "name",
        "driver_version",
        "memory.total",
        "memory.used",
        "compute_cap",
        "power.limit",
        "temperature.gpu",
    ),
    *("clocks.max.sm", "clocks.max.memory", "pcie.link.gen.current", "pcie.link.gen.max"),
    *("pcie.link.width.current", "pcie.link.width.max", "mig.mode.current"),
)
"""What nvidia-smi is asked of each card."""


def rows(plan: Plan) -> Iterator[Row]:
    """Pairs of what and how much."""
    yield from (told(what, value) for what, value in smi())
    yield from device(plan.device)
    yield from (told(what, value) for what, value in machine().items() if what != "versions")
    yield from (told(package, version) for package, version in versions().items() if version)
    for status in availability():
        yield told(f"backend {status.name}", "works" if status.usable else status.reason)


def told(what: str, value: object) -> Row:
    return {"what": what, "is": str(value)}


def smi() -> Iterator[tuple[str, str]]:
    """As nvidia-smi tells it, of the first card."""
    if shutil.which("nvidia-smi") is None:
        yield "nvidia-smi", "not installed"
        return
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    first = (answer.stdout or answer.stderr).strip().partition("\n")[0]
    values = first.split(", ")
    if len(values) == len(ASKED):
        yield from zip(ASKED, values, strict=True)
    else:
        yield "nvidia-smi", first or f"gave nothing (exit code {answer.returncode})"


def device(name: str) -> Iterator[Row]:
    """As the project's own seam sees it."""
    try:
        with opening.open_device(name) as found:
            facts = found.facts
            yield told("device seam", f"{found.name}, CUDA {facts.driver[0]}.{facts.driver[1]}")
            yield told("device memory free (GiB)", round(found.free_memory() / 2**30, 1))
    except DerainError as error:
        yield told("device seam", error)
