"""`derain bench`: how fast this machine derains."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from derain.benchmarks.fps import Measurement, Setup, measure_apart, measure_pattern
from derain.benchmarks.machine import machine
from derain.engines.engine import EngineOptions
from derain.engines.errors import DerainError, UsageError
from derain.pipeline.commands.group import Commands, Entry
from derain.pipeline.commands.options import network_options

SIZES = {
    "360p": (640, 360),
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "4K": (3840, 2160),
}


def size_option(
    ctx: click.Context, parameter: click.Parameter, names: Sequence[str]
) -> tuple[tuple[int, int], ...]:
    """(width, height) of each size named."""
    return tuple(parse_size(name) for name in names)


def parse_size(name: str) -> tuple[int, int]:
    """(width, height) of "720p" or "1280x720"; H.264 takes even ones. Raises UsageError."""
    known = {size.lower(): pixels for size, pixels in SIZES.items()}
    if name.lower() in known:
        return known[name.lower()]
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", name, re.ASCII)
    if match is None or int(match[1]) % 2 or int(match[2]) % 2:
        raise UsageError(f"--size takes {', '.join(SIZES)} or an even WIDTHxHEIGHT (640x360), not {name!r}")
    return int(match[1]), int(match[2])


SUBJECTS: tuple[Entry, ...] = (
    ("degradations", "derain.benchmarks.degradations", "", "How many rainy patches one core makes a second."),
    ("realism", "derain.benchmarks.realism", "train", "Do published networks take our rain for rain?"),
    ("drops", "derain.benchmarks.drops", "", "Measure our drops beside real ones, and draw them."),
    ("usefulness", "derain.benchmarks.usefulness.command", "", "Does it help the machine that looks?"),
    ("lineage", "derain.benchmarks.lineage.command", "train", "The published systems under one budget."),
    ("family", "derain.benchmarks.family.command", "train", "What was tried for the real-time family."),
    ("dryness", "derain.benchmarks.dryness", "", "Scores of rainy and dry pictures: what is dry?"),
    ("engines", "derain.benchmarks.engines", "train", "Which plans TensorRT-RTX builds, how large and fast."),
    (
        "gpu",
        "derain.benchmarks.gpu.command",
        "train",
        "An NVIDIA card in eight minutes: parity, speed, streams.",
    ),
    ("live", "derain.benchmarks.live", "", "Live video: added latency, drops, and memory over time."),
    ("quality", "derain.benchmarks.quality", "train", "Quality against time, beside others' networks."),
    ("background", "derain.benchmarks.background", "", "How near the truth are backgrounds of rainy video?"),
)
"""What else `derain bench NAME` measures."""


@click.group("bench", cls=Commands, table=SUBJECTS, invoke_without_command=True)
@click.option("--input", "clip", type=click.Path(path_type=Path), help="A clip, in place of a made pattern.")
@click.option("--size", "sizes", multiple=True, callback=size_option, metavar="SIZE", help="Repeatable.")
@click.option("--frames", default=60, show_default=True, type=click.IntRange(2), help="Frames a size.")
@network_options
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.pass_context
def command(
    ctx: click.Context,
    clip: Path | None,
    sizes: tuple[tuple[int, int], ...],
    frames: int,
    model: str,
    backend: str,
    precision: str,
    threads: int | None,
    json_file: Path | None,
) -> None:
    """Measure decode, restore and encode, alone and together.

    Without --input, clips with moving content are made at the sizes 360p, 480p, 720p, 1080p and 4K, or those
    given by --size. Encoding is as in derain video: x264 veryfast. p50 and p99 are times a frame; for
    "together", the time between two frames written. Peak memory is that of the whole pipeline.
    """
    if ctx.invoked_subcommand is not None:
        return
    if clip is not None and sizes:
        raise UsageError("--size makes a clip and --input brings one; give one of the two")
    if json_file is not None and not json_file.parent.is_dir():
        raise UsageError(f"there is no folder {json_file.parent} for {json_file.name}; make it first")
    setup = Setup(model, EngineOptions(backend=backend, precision=precision, threads=threads), frames)
    facts = machine()
    click.echo(f"{facts['cpu']}, {facts['threads']} threads, load {facts['load']:.1f}")
    measured = []
    for measurement in measurements(clip, sizes or tuple(SIZES.values()), setup):
        click.echo(table(measurement))
        measured.append(measurement)
    if json_file is not None:
        write_json(json_file, facts, measured)


def measurements(clip: Path | None, sizes: Sequence[tuple[int, int]], setup: Setup) -> Iterator[Measurement]:
    """Of the clip, or of a made one of each size."""
    if clip is not None:
        yield measure_apart(clip, setup)
        return
    for width, height in sizes:
        yield measure_pattern(width, height, setup)


def table(measurement: Measurement) -> str:
    """One clip as plain text."""
    head = (
        f"\n{measurement.clip} {measurement.width}x{measurement.height}: model {measurement.model}, "
        f"{measurement.backend} {measurement.precision}, ready in {measurement.start_seconds:.2f} s, "
        f"latency {measurement.latency_ms:.0f} ms, peak memory {measurement.peak_mib:.0f} MiB"
    )
    rows = [
        f"{stage.name:<9}{stage.frames:>7}{stage.fps:>9.1f}{stage.p50_ms:>9.1f}{stage.p99_ms:>9.1f}"
        for stage in measurement.stages
    ]
    return "\n".join([head, f"{'stage':<9}{'frames':>7}{'fps':>9}{'p50 ms':>9}{'p99 ms':>9}", *rows])


def write_json(path: Path, facts: dict[str, object], measured: Sequence[Measurement]) -> None:
    """Machine, versions and figures in one object. Raises DerainError."""
    text = json.dumps({"machine": facts, "measurements": [asdict(one) for one in measured]}, indent=2)
    try:
        path.write_text(text + "\n")
    except OSError as error:
        raise DerainError(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from error
