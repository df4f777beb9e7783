"""`derain evaluate MODEL PAIRS...`: how good a network is on pairs it never saw."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.registry import open_engine
from derain.pipeline.restore import Restorer
from derain.train.datasets import read_pairs
from derain.train.evaluate import Scored, contact_sheet, evaluate, mean, save_sheet

HEADER = (
    f"{'set':28} {'n':>4} {'':9} {'PSNR Y':>7} {'SSIM Y':>7} {'PSNR RGB':>9} {'SSIM RGB':>9} {'gain Y':>8}"
)


def summary(name: str, match: str, scored: Sequence[Scored]) -> dict[str, Any]:
    """Means of a set, of the pairs with `match` in their names, and the figures of each picture."""
    rainy, restored = mean([s.rainy for s in scored]), mean([s.restored for s in scored])
    gain = 0.0 if restored.psnr_y == rainy.psnr_y else restored.psnr_y - rainy.psnr_y
    return {
        "set": name,
        "match": match,
        "pairs": len(scored),
        "rainy": asdict(rainy),
        "restored": asdict(restored),
        "gain_y": gain,
        "pictures": [
            {"name": s.pair.name, "rainy": asdict(s.rainy), "restored": asdict(s.restored)} for s in scored
        ],
    }


def table(result: dict[str, Any]) -> str:
    """Two lines of the printed table: the rainy and the restored means."""
    name = f"{result['set']} {result['match']}".strip()
    rainy = line(name, str(result["pairs"]), "rainy", result["rainy"])
    return f"{rainy}\n{line('', '', 'restored', result['restored'])} {result['gain_y']:+8.2f}"


def line(name: str, count: str, row: str, figures: dict[str, float]) -> str:
    """One line of the printed table, without the gain."""
    return (
        f"{name[-28:]:28} {count:>4} {row:9} {figures['psnr_y']:7.2f} {figures['ssim_y']:7.4f} "
        f"{figures['psnr_rgb']:9.2f} {figures['ssim_rgb']:9.4f}"
    )


def finite(value: Any) -> Any:
    """JSON has no infinity: the PSNR of equal pictures becomes null."""
    match value:
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list():
            return [finite(item) for item in value]
        case float() if value in (float("inf"), float("-inf")):
            return None
    return value


@click.command(name="evaluate")
@click.argument("model")
@click.argument("pairs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Take each n-th pair."
)
@click.option("--match", default="", help="Take only pairs whose name contains this.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures there.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Picture of the worst pairs of the last set.")
@click.option("--backend", default="auto", show_default=True)
@click.option("--precision", default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1))
def command(
    model: str,
    pairs: tuple[Path, ...],
    every: int,
    match: str,
    json_file: Path | None,
    sheet: Path | None,
    backend: str,
    precision: str,
    threads: int | None,
) -> None:
    """Measure MODEL on folders of PAIRS (rainy/ and clean/ inside): PSNR and SSIM, on Y and on RGB."""
    sets = [(folder, [p for p in read_pairs(folder) if match in p.name][::every]) for folder in pairs]
    if empty := [str(folder) for folder, chosen in sets if not chosen]:
        raise UsageError(f"no pair whose name contains {match!r} in {', '.join(empty)}")
    for file in (json_file, sheet):
        if file and not file.parent.is_dir():
            raise UsageError(f"there is no folder {file.parent} for {file.name}; make it first")
    results = []
    click.echo(HEADER)
    with open_engine(model, EngineOptions(backend, precision, threads)) as engine:
        restorer = Restorer(engine)
        for folder, chosen in sets:
            scored = evaluate(chosen, restorer)
            results.append(summary(str(folder), match, scored))
            click.echo(table(results[-1]))
        if sheet:
            save_sheet(sheet, contact_sheet(scored, restorer))
    if json_file:
        json_file.write_text(json.dumps(finite(results), indent=1) + "\n", encoding="utf-8")
