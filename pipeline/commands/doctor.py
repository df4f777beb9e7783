"""`derain doctor`: what this machine will run, and why each faster way is not taken."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from derain.engines.doctor import Encoders, Report, examine
from derain.pipeline.gpu.way import unavailable


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Say what this machine will run, and why each faster way is not taken.

    The exit code is 1 where no backend can run.
    """
    report, against_card = examine(), unavailable()
    if as_json:
        found = asdict(report) | {"video_on_card": not against_card, "video_on_card_reason": against_card}
        click.echo(json.dumps(found, indent=2, default=str))
    else:
        for line in lines(report, against_card):
            click.echo(line)
    ctx.exit(0 if report.backend else 1)


def lines(report: Report, against_card: str) -> Iterator[str]:
    """The report for people; `against_card`: why no video can stay on a card."""
    yield from _machine(report)
    yield ""
    yield f"Networks shipped: {_networks(report)}"
    yield f"Networks run on: {report.backend or 'nothing, no backend works here'}"
    for status in report.backends:
        yield f"  {status.name}: {'works' if status.usable else status.reason}"
    yield "Faster, but not taken:"
    for way in report.faster:
        yield f"  {way.name}: {'; '.join(way.not_taken) or 'taken'}"
    yield ""
    yield "Encoders:"
    yield from (f"  {_encoders(found)}" for found in report.encoders)
    yield f"Video on an NVIDIA card: {against_card or 'works where the card decodes it, which is tried'}"
    yield f"Windows: {report.window or 'none (no display, or an OpenCV without a GUI)'}"
    yield f"Compiled models: {report.cache} ({report.cache_bytes / 2**20:.1f} MiB)"


def _machine(report: Report) -> Iterator[str]:
    machine = report.machine
    features = "not known on this system" if machine.features is None else ", ".join(machine.features)
    yield f"System: {machine.system}"
    yield f"Processor: {machine.cpu}, {machine.cores} cores, {machine.threads} threads ({features})"
    yield f"Memory: {machine.memory / 2**30:.1f} GiB, {machine.memory_free / 2**30:.1f} GiB free"
    yield f"GPU: {', '.join(machine.gpus) or machine.no_gpu}"
    yield f"Python: {report.python}"
    versions = (f"{name} {version or 'not installed'}" for name, version in report.versions.items())
    yield f"Packages: {', '.join(versions)}"
    yield f"FFmpeg: {', '.join(f'{name} {version}' for name, version in report.ffmpeg.items())}"


def _networks(report: Report) -> str:
    names = ", ".join(report.networks) or "none"
    if report.choices < 2:
        return names
    return f"{names} (--model auto: the best of the first {report.choices} that keeps the source's rate)"


def _encoders(found: Encoders) -> str:
    hardware = f"; if the hardware is there: {', '.join(found.hardware)}" if found.hardware else ""
    return f"{found.codec}: {', '.join(found.software) or 'none'}{hardware}"
