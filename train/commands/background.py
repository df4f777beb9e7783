"""`derain background VIDEO OUTPUT`."""

import math
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import click

from derain.engines.errors import DerainError
from derain.pipeline.commands.options import path_option, whole_option
from derain.pipeline.commands.video import time_option
from derain.pipeline.json_lines import JsonLines
from derain.pipeline.log import LEVELS, logging_to_stderr
from derain.train.background.measures import AGREED, LEFT, Measures
from derain.train.background.video import (
    DENSITIES,
    FEWEST,
    Attempt,
    BackgroundJob,
    Report,
    make_background,
)

MOST_ASKED = 2000


class Teller:
    """Lines for people on stdout: each attempt, then what was made."""

    def tell(self, attempt: Attempt) -> None:
        """One line for so many frames."""
        click.echo(f"{attempt.frames} frames: {words(attempt.measures)}")

    def end(self, report: Report) -> None:
        """The last lines."""
        for line in ending(report):
            click.echo(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Errors are said by whoever catches them."""


class JsonTeller(Teller):
    """JSON for programs, one object a line: attempt for each number of frames, end exactly once and last."""

    def __init__(self) -> None:
        self._lines = JsonLines()

    def tell(self, attempt: Attempt) -> None:
        """An attempt event; percentages are of values (rain) and pixels (left, moving)."""
        self._lines.write("attempt", {"frames": attempt.frames, **figures(attempt)})

    def end(self, report: Report) -> None:
        """The end event of a background that was written."""
        self._lines.write(
            "end",
            {
                "status": "done",
                "exit_code": 0,
                "message": ending(report)[-1],
                "files": [str(path) for path in report.files],
                "frames": report.last.frames,
                "density": report.density,
                "percentile": report.ranking.percentile,
                "crossed_percent": 100 * report.ranking.crossed,
                **figures(report.last),
                "moving": [asdict(region) for region in report.regions],
                "converged": report.converged,
            },
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The end event that an error makes."""
        if isinstance(error, DerainError):
            fields = {"status": "failed", "exit_code": error.exit_code, "message": str(error), "files": []}
            self._lines.write("end", fields)


def figures(attempt: Attempt) -> dict[str, Any]:
    """The measures for JSON; the agreement of equal halves is null."""
    measures = attempt.measures
    return {
        "agreement_db": measures.agreement if math.isfinite(measures.agreement) else None,
        "left_percent": 100 * measures.left,
        "rain_percent": 100 * measures.rain.share,
        "rain_brightness": measures.rain.brightness,
        "rain_frames": measures.rain.frames,
        "moving_percent": 100 * float(attempt.moving.mean()),
        "clean": measures.clean,
    }


def words(measures: Measures) -> str:
    """The measures for people."""
    agreement = "are equal" if math.isinf(measures.agreement) else f"agree to {measures.agreement:.1f} dB"
    rain = measures.rain
    seen = (
        f"rain on {100 * rain.share:.1f} % of the values, {rain.brightness:.0f} grey levels brighter, "
        f"{rain.frames:.1f} frames long"
    )
    return f"{seen}; halves {agreement}, rain left at {100 * measures.left:.2f} % of the pixels"


def ending(report: Report) -> list[str]:
    """What was made, for people."""
    ranking = report.ranking
    lines = [
        f"percentile {ranking.percentile:.1f}, in the ranges of {100 * ranking.crossed:.0f} % of the values "
        f"({report.density} rain)"
    ]
    if report.regions:
        moving = "; ".join(region.name(*report.size) for region in report.regions)
        lines.append(f"moving, left out in {report.files[-1]}: {moving}")
    needed = f"{AGREED:g} dB or more, {100 * LEFT:g} % or less"
    verdict = "clean" if report.converged else "NOT clean yet"
    lines.append(f"{report.files[0]}: {verdict} by its measures ({needed}) with {report.last.frames} frames")
    return lines


@click.command("background")
@click.argument("video", callback=path_option)
@click.argument("output", callback=path_option)
@click.option(
    "--density",
    type=click.Choice(["auto", *(density.name for density in DENSITIES)]),
    default="auto",
    show_default=True,
    help="Of the rain: begins with 20, 100 or 200 frames and adds 10, 20 or 50, to 100, 200 or 300.",
)
@click.option(
    "--frames",
    callback=whole_option(FEWEST, MOST_ASKED),
    metavar="N",
    help="Take exactly N frames rather than as many as it needs.",
)
@click.option("--start", callback=time_option, metavar="TIME", help="Seconds or HH:MM:SS.mmm to begin at.")
@click.option(
    "--mask-moving", is_flag=True, help="Mark what moves in OUTPUT's NAME-mask.png (0) rather than refuse."
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--json", "as_json", is_flag=True, help="Say how it goes as JSON lines.")
@click.option("--log-level", type=click.Choice(LEVELS), default="warning", show_default=True)
def command(*, as_json: bool, log_level: str, **rest: Any) -> None:
    """Make the clean background of a rainy VIDEO of a still scene: OUTPUT, a PNG or TIFF.

    Each pixel gets the one rank among its values that fits most pixels' most frequent value (Wang et al.
    2019). The camera must stand still, and so must the scene, or the regions that move are named. Whether the
    picture is clean is measured: backgrounds of disjoint halves of the frames must agree, and no rain be
    left; frames are added until it is.
    """
    job = BackgroundJob(**rest)
    with logging_to_stderr(log_level), JsonTeller() if as_json else Teller() as teller:
        teller.end(make_background(job, teller.tell))
