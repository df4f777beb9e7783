"""The figures of a run as plain data: what --json writes and the tables are made from."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from derain.benchmarks.evaluation.contest import Contestant
from derain.benchmarks.evaluation.figures import Figures, Harm, Result, average, counted, difference
from derain.benchmarks.evaluation.run import SetResults
from derain.benchmarks.evaluation.seeds import Seeds, seeds_among, together
from derain.train.evaluate import Area

Row = dict[str, Any]


def summary(measured: SetResults, contestants: Sequence[Contestant]) -> Row:
    """A set: its means, its cases, under "against" those of the other models, under "seeds" the means of
    models that differ by their seed alone.

    PSNR in dB, inf for equal pictures, nan for what there is none of.
    """
    kept = counted(measured.results)
    rainy = average([result.rainy for result in kept])
    groups = seeds_among(contestants)
    models = [by_model(measured, one, index, kept, rainy) for index, one in enumerate(contestants)]
    return {
        "set": measured.name,
        "title": f"{measured.title} {measured.match}".strip(),
        "match": measured.match,
        "pairs": len(measured.results),
        "clips": sum(result.kind == "clip" for result in measured.results),
        "dry": sum(result.dry for result in measured.results),
        "masks": "set" if all(result.masked for result in kept) else "difference over 30",
        "rain_share": rainy.areas.share,
        "rainy": asdict(rainy.score),
        "rainy_areas": areas(rainy),
        "rainy_flicker": rainy.flicker,
        **models[0],
        "against": {model["model"]: model for model in models[1:]},
        "seeds": together(groups, models),
        "pictures": [picture(result, contestants, groups) for result in measured.results],
    }


def by_model(
    measured: SetResults, contestant: Contestant, index: int, kept: Sequence[Result], rainy: Figures
) -> Row:
    """What one model made of a set."""
    restored = average([result.restored[index] for result in kept])
    return {
        "model": contestant.label,
        "backend": contestant.backend,
        "precision": contestant.precision,
        "restored": asdict(restored.score),
        "gain_y": difference(restored.score.psnr_y, rainy.score.psnr_y),
        "areas": areas(restored),
        "flicker": restored.flicker,
        "no_harm": no_harm(measured.harms[index]),
    }


def areas(figures: Figures) -> Row:
    """PSNR on Y where the rain is and where it is not."""
    return {"rain": figures.areas.rain.psnr, "rain_free": figures.areas.free.psnr}


def no_harm(harms: Sequence[Harm]) -> Row | None:
    """What was done to clean pictures, over all their pixels at once, and the worst of them; None without."""
    if not harms:
        return None
    worst = min(harms, key=lambda harm: harm.area.psnr)
    return {
        "pictures": len(harms),
        "psnr_y": sum((harm.area for harm in harms), Area()).psnr,
        "worst": worst.name,
        "worst_psnr_y": worst.area.psnr,
    }


def picture(result: Result, contestants: Sequence[Contestant], groups: Sequence[Seeds]) -> Row:
    """One case."""
    labels = [contestant.label for contestant in contestants]
    models = [
        {
            "restored": asdict(figures.score),
            "gain_y": result.gain(index),
            "areas": areas(figures),
            "flicker": figures.flicker,
        }
        for index, figures in enumerate(result.restored)
    ]
    return {
        "name": result.name,
        "kind": result.kind,
        "frames": result.frames,
        "dry": result.dry,
        "note": result.note,
        "rain_share": result.rainy.areas.share,
        "rainy": asdict(result.rainy.score),
        "rainy_areas": areas(result.rainy),
        "rainy_flicker": result.rainy.flicker,
        **models[0],
        "against": dict(zip(labels[1:], models[1:], strict=True)),
        "seeds": together(groups, models),
    }


def finite(value: Any) -> Any:
    """JSON has no infinity and no nan: the PSNR of equal pictures, and what there is none of, become null."""
    match value:
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list():
            return [finite(item) for item in value]
        case float() if not np.isfinite(value):
            return None
    return value


def models_of(row: Row) -> list[Row]:
    """Of a summary or one of its pictures: the first model's figures, then the others'."""
    return [row, *row["against"].values()]


def seeds_of(row: Row) -> list[Row]:
    """Of a summary or one of its pictures: for each group of seeds its means, then its deviations."""
    return [line for group in row["seeds"] for line in (group, group["deviation"])]


COLUMNS: tuple[tuple[str, Callable[[Row], Any]], ...] = (
    ("psnr_y", lambda row: row["restored"]["psnr_y"]),
    ("ssim_y", lambda row: row["restored"]["ssim_y"]),
    ("psnr_rgb", lambda row: row["restored"]["psnr_rgb"]),
    ("ssim_rgb", lambda row: row["restored"]["ssim_rgb"]),
    ("gain_y", lambda row: row["gain_y"]),
    ("psnr_y_rain", lambda row: row["areas"]["rain"]),
    ("psnr_y_rain_free", lambda row: row["areas"]["rain_free"]),
    ("flicker", lambda row: row["flicker"]),
)
"""The figures of one model, or of the rainy picture, by their names in tables."""


def as_rainy(row: Row) -> Row:
    """The rainy picture's figures in the shape of a model's."""
    return {
        "restored": row["rainy"],
        "gain_y": 0.0,
        "areas": row["rainy_areas"],
        "flicker": row["rainy_flicker"],
    }
