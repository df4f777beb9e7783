"""`derain models`: the networks there are, with their cards."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from derain.engines import models
from derain.engines.card import ModelCard, read_card
from derain.engines.modelfile import open_model
from derain.pipeline.glance import shipped_glance
from derain.pipeline.speeds import Speed, kept


@dataclass(frozen=True)
class Listed:
    """One network; `choice`: its place among those that "auto" chooses from, 1 the best; None for others.

    `video_choice`: the same for videos, where recurrent ones stand among them. `use`: what it is for, in
    words. `size`: of the file in bytes. `attention`: whether it gives an attention map. `int8`: the same
    network in INT8, beside it. `here`: what was measured on this machine lately.
    """

    path: Path
    size: int
    choice: int | None
    video_choice: int | None
    use: str
    attention: bool
    int8: Path | None
    card: ModelCard
    here: tuple[Speed, ...]


@click.command("models")
@click.argument("networks", nargs=-1, metavar="[NAME|FILE]...")
@click.option("--json", "as_json", is_flag=True, help="The cards as a JSON list.")
def command(networks: Sequence[str], as_json: bool) -> None:
    """List the shipped networks with their cards, or those that are named.

    The last is the glance, which only looks whether it rains while dry frames are left alone.

    With --model auto, derain video takes the best that keeps the source's rate on this machine; what it
    measured for that in the last day is told here.
    """
    paths = [find(network) for network in networks] if networks else in_order()
    measured = kept()
    found = [look_up(path, measured) for path in paths]
    if as_json:
        click.echo(json.dumps([asdict(network) for network in found], indent=2, default=str))
    elif not found:
        click.echo("no network is shipped with this installation; give the path of a .onnx file")
    elif sys.stdout.isatty():
        show(found)
    else:
        click.echo("\n\n".join(plain(network) for network in found))


def in_order() -> list[Path]:
    """All that is shipped: those that "auto" chooses among first, the glance last."""
    glance = shipped_glance()
    return [*models.in_order(), *([glance] if glance else [])]


def find(network: str) -> Path:
    """The file of a network by its name, the glance's too, or by its path. Raises UsageError."""
    glance = shipped_glance() if network == models.GLANCE else None
    return glance or models.find(network)


def look_up(path: Path, measured: Sequence[Speed] = ()) -> Listed:
    """Reads a network's card; raises UsageError where it is not one that derain can feed."""
    model, int8 = open_model(path), models.int8_of(path)
    hashes = {model.card.sha256} | ({read_card(int8).sha256} if int8.exists() else set())
    return Listed(
        path=path,
        size=path.stat().st_size,
        choice=place_in(models.ranked(), path),
        video_choice=place_in(models.ranked(sequence=True), path),
        use=use(path, model.card),
        attention=model.attention,
        int8=int8 if int8.exists() else None,
        card=model.card,
        here=tuple(speed for speed in measured if speed.sha256 in hashes),
    )


def place_in(ranked: Sequence[Path], path: Path) -> int | None:
    """1 for the first; None where it is none of them."""
    return ranked.index(path) + 1 if path in ranked else None


def use(path: Path, card: ModelCard) -> str:
    """What a network is for."""
    if path == shipped_glance():
        return "looks for rain while dry frames skip the network (--bypass auto); restores nothing"
    return "videos: it remembers the frames before" if card.states else "pictures and videos"


def facts(network: Listed) -> dict[str, str]:
    """What a user wants to know first, in that order; what the card does not tell is left out."""
    card = network.card
    rows = {
        "use": network.use,
        "removes": ", ".join(card.removes),
        "quality": _figures(card.quality),
        "speed": _figures(card.speed),
        "speed here": "; ".join(told(speed) for speed in network.here),
        "precision": _precision(network),
        "data": "; ".join(card.data),
        "licence": card.licence,
        "trained": _training(card),
        "tiles": f"{card.tiling}, halo {card.halo} pixels, sizes in multiples of {card.multiple_of}",
        "attention maps": _maps(card),
        "file": f"{network.path} ({network.size / 2**20:.2f} MiB)",
    }
    return {name: value for name, value in rows.items() if value}


def title(network: Listed) -> str:
    """Name and version, and its place among those that "auto" chooses from."""
    still, moving = len(models.ranked()), len(models.ranked(sequence=True))
    places = [f"{network.video_choice} of {moving}"] if network.video_choice else []
    if moving != still or network.choice != network.video_choice:
        places = [f"{place} for videos" for place in places]
        places += [f"{network.choice} of {still} for pictures"] if network.choice else []
    auto = "default" if places == ["1 of 1"] else f"auto: choice {', '.join(places)}"
    return f"{network.card.name} {network.card.version}{f' ({auto})' if places else ''}"


def told(speed: Speed) -> str:
    """What was measured, in words."""
    threads = "" if speed.threads is None else f", threads: {speed.threads}"
    ms = f"{speed.seconds * 1e3:.1f} ms a frame"
    return f"{speed.width}x{speed.height}: {ms}, {speed.backend} {speed.precision}{threads}"


def plain(network: Listed) -> str:
    """One network in lines for pipes and files."""
    return "\n".join([title(network), *(f"  {name}: {value}" for name, value in facts(network).items())])


def show(found: Sequence[Listed]) -> None:
    """The networks as tables, for terminals."""
    console = Console()
    for network in found:
        table = Table(title=title(network), title_justify="left", show_header=False)
        for name, value in facts(network).items():
            table.add_row(name, value)
        console.print(table)


def _figures(figures: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {figure}" for name, figure in figures.items())


def _maps(card: ModelCard) -> str:
    """Their names, and the options that take them."""
    if not card.attention:
        return "none"
    keep = [f"--keep-{name}" for name in ("drops", "streaks") if name in card.attention]
    return f"{', '.join(card.attention)}, for {', '.join(['--show-attention', *keep])}"


def _precision(network: Listed) -> str:
    calibrated = f", calibrated on {network.card.calibration}" if network.card.calibration else ""
    beside = f", and int8 in {network.int8.name}" if network.int8 else ""
    return f"{network.card.precision}{calibrated}{beside}"


def _training(card: ModelCard) -> str:
    seed = "" if card.seed is None else f"seed {card.seed}"
    return ", ".join(part for part in (card.recipe, seed, card.commit and f"commit {card.commit}") if part)
