"""`derain quantise MODEL OUTPUT --calibration FOLDER|VIDEO`."""

from pathlib import Path

import click

from derain.engines import models
from derain.pipeline.commands.options import name_option, number_option, path_option, whole_option
from derain.train.commands.options import seed_option
from derain.train.quantise import QuantiseOptions, quantise


@click.command(name="quantise")
@click.argument("model", callback=name_option)
@click.argument("output", callback=path_option)
@click.option(
    "--calibration",
    required=True,
    callback=path_option,
    metavar="FOLDER|VIDEO",
    help="Rainy frames to calibrate on: pictures, or a video; for a recurrent network those of a clip.",
)
@click.option(
    "--frames", default="32", callback=whole_option(1, 10000), metavar="N", help="How many.  [default: 32]"
)
@click.option("--seed", default="0", callback=seed_option, metavar="N", help="Which ones.  [default: 0]")
@click.option(
    "--least",
    default="38",
    callback=number_option(0, 200),
    metavar="DB",
    help="PSNR to the fp32 network below which nothing is written.  [default: 38]",
)
@click.option(
    "--precision",
    type=click.Choice(["int8", "fp8"]),
    default="int8",
    show_default=True,
    help="fp8 is for NVIDIA cards of compute capability 89 and later.",
)
def command(
    model: str, output: Path, calibration: Path, frames: int, seed: int, least: float, precision: str
) -> None:
    """Write MODEL, a shipped network or a .onnx file, in INT8 or FP8 to OUTPUT.

    Named NAME.int8.onnx beside NAME.onnx, it is taken by itself on processors that are fast with it;
    named NAME.fp8.onnx, by --precision fp8.
    """
    options = QuantiseOptions(frames, seed, least, precision)
    done = quantise(models.find(model), output, calibration, options)
    click.echo(f"{output}: {done.card.calibration}, {done.worst:.2f} dB on the worst")
