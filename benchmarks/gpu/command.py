"""`derain bench gpu`."""

import json
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import click

from derain.benchmarks.engines import written
from derain.benchmarks.gpu.apart import Found, Section, measured
from derain.benchmarks.gpu.plan import Plan, everything, on_a_card, rehearsed
from derain.benchmarks.gpu.report import SECTIONS, WHOLE, markdown, table, targets
from derain.benchmarks.machine import machine
from derain.engines.errors import UsageError
from derain.engines.machine import nvidia_gpus
from derain.engines.models import find
from derain.engines.registry import availability
from derain.pipeline.commands.options import path_option

NAMES = tuple(section.name for section in SECTIONS)


def planned(named: tuple[str, ...], rehearse: bool) -> Plan:
    """Raises UsageError without a card, unless it is a rehearsal, and for a model that there is not."""
    for name in named:
        find(name)
    backends = on_a_card()
    if rehearse:
        return rehearsed(everything(named, backends))
    if not backends:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in availability() if one.reason)
        raise UsageError(
            f"no backend for NVIDIA's cards runs here ({nvidia_gpus()[1] or reasons}); "
            "--rehearse goes through all of it on the CPU"
        )
    return everything(named, backends)


def head(rehearse: bool) -> str:
    """Title and first words of the table."""
    facts = machine()
    named = ", ".join(nvidia_gpus()[0]) or "no NVIDIA card"
    version, day = facts["versions"]["derain"], date.today().isoformat()
    told = f"# derain on {named}\n\n{day}, derain {version}, {facts['cpu']}."
    return told + ("\n\n**A rehearsal: tiny sizes on the CPU. No figure here means anything.**" * rehearse)


@click.command("gpu")
@click.argument("network", nargs=-1)
@click.option(
    "--json", "json_file", callback=path_option, metavar="FILE", help="Also write all figures here."
)
@click.option("--markdown", "markdown_file", callback=path_option, metavar="FILE", help="Also write tables.")
@click.option("--peers", callback=path_option, metavar="FOLDER", help="Published weights of PReNet.")
@click.option(
    "--tests", callback=path_option, default="tests", show_default=True, metavar="FOLDER", help="Ours."
)
@click.option(
    "--seconds", default=WHOLE, show_default=True, type=click.FloatRange(10, 3600), help="For all of it."
)
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Only this section; repeatable.")
@click.option("--rehearse", is_flag=True, help="All of it on the CPU, tiny, to see that it runs.")
def command(
    network: tuple[str, ...],
    json_file: Path | None,
    markdown_file: Path | None,
    peers: Path | None,
    tests: Path | None,
    seconds: float,
    only: tuple[str, ...],
    rehearse: bool,
) -> None:
    """Measure an NVIDIA card, unattended, in under eight minutes: machine, tests, parity, speed, streams.

    NETWORK: shipped names or .onnx files; all shipped ones where none is given. Each section runs in a
    process of its own, and what it has found is kept when it runs out of its time or crashes. Both files are
    written after each section.
    """
    plan = replace(planned(network, rehearse), peers=peers, tests=tests)
    found: dict[str, Found] = {}
    spare = 0.0
    for section in SECTIONS:
        if only and section.name not in only:
            continue
        share = section.share * seconds / WHOLE
        found[section.name] = measured(section, plan, share + spare)
        spare = max(share + spare - found[section.name].seconds, 0.0)
        tell(section, found[section.name])
        keep(found, json_file, markdown_file, rehearse)
    click.echo(f"\n{table(targets(found))}")


def tell(section: Section, found: Found) -> None:
    """On the screen, as it comes."""
    click.echo(f"\n{section.title} ({found.seconds:.0f} s)\n{table(found.rows)}")
    if found.ended:
        click.echo(f"{section.name}: {found.ended}", err=True)


def keep(found: dict[str, Found], json_file: Path | None, markdown_file: Path | None, rehearse: bool) -> None:
    """What there is so far. Raises DerainError where it can't be written."""
    if json_file is not None:
        sections = {name: asdict(one) for name, one in found.items()}
        content = {"date": date.today().isoformat(), "rehearsal": rehearse, "machine": machine()}
        written(
            json_file,
            json.dumps(content | {"targets": targets(found), "sections": sections}, indent=1) + "\n",
        )
    if markdown_file is not None:
        written(markdown_file, markdown(found, head(rehearse)))
