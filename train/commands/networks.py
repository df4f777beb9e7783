"""`derain networks`: what can be trained, and what it costs to run."""

import json
from collections.abc import Iterator, Sequence

import click

from derain.train.networks.facts import Facts, facts
from derain.train.networks.published import Published
from derain.train.networks.registry import NETWORKS

HEAD = ("network", "paper", "parameters", "kMAC/pixel", "radius", "tiling", "multiple", "judged", "attention")
RIGHT = ("parameters", "kMAC/pixel", "radius", "multiple")
"""Columns of numbers."""
PUBLISHED = "as published, dB / SSIM"


@click.command("networks")
@click.option("--json", "as_json", is_flag=True, help="The same as a JSON list, with the papers' figures.")
@click.option("--markdown", is_flag=True, help="The table of docs/networks.md, with the papers' figures.")
def command(as_json: bool, markdown: bool) -> None:
    """List the networks that derain train knows, each at full width.

    kMAC/pixel: thousands of multiplications of its convolutions for a pixel of 640x360. radius: of its
    receptive field, in pixels. multiple: of which heights and widths must be; video is continued to it.
    judged: a discriminator takes part in its training. attention: it shows where it sees rain.
    """
    found = [facts(row) for row in NETWORKS]
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=1))
    elif markdown:
        click.echo("\n".join(markdown_lines(found)))
    else:
        click.echo("\n".join(plain_lines(found)))


def cells(one: Facts) -> tuple[str, ...]:
    """A network as the texts of HEAD's columns."""
    return (
        one.name,
        one.paper,
        f"{one.parameters:,}",
        f"{one.kmac:,.1f}",
        "whole frame" if one.radius is None else str(one.radius),
        str(one.tiling),
        str(one.multiple_of),
        "yes" if one.discriminator else "no",
        "yes" if one.attention else "no",
    )


def plain_lines(found: Sequence[Facts]) -> Iterator[str]:
    """Columns in line, a network a line."""
    rows = [HEAD, *map(cells, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = zip(HEAD, row, widths, strict=True)
        line = "  ".join(
            f"{text:>{wide}}" if name in RIGHT else f"{text:{wide}}" for name, text, wide in texts
        )
        yield line.rstrip()


def markdown_lines(found: Sequence[Facts]) -> Iterator[str]:
    """A Markdown table with one column more: the papers' figures."""
    yield table_row([*HEAD, PUBLISHED])
    yield table_row(["--:" if name in RIGHT else "---" for name in (*HEAD, PUBLISHED)])
    for one in found:
        name, *others = cells(one)
        yield table_row([f"`{name}`", *others, "; ".join(map(figures, one.published)) or "-"])


def table_row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def figures(one: Published) -> str:
    """A paper's figures in words."""
    ssim = "" if one.ssim is None else f" / {one.ssim}"
    return f"{one.psnr:.2f}{ssim} on {one.on} ({one.where})"
