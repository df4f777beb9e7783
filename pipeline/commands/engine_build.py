"""`derain engine build`: a plan made before it is needed, here or for cards that are elsewhere."""

import re
from dataclasses import dataclass
from functools import partial

import click

from derain.engines import models, precision, trt
from derain.engines.build import Profile, Shape
from derain.engines.device import opening
from derain.engines.engine import EngineOptions
from derain.engines.errors import UsageError
from derain.engines.modelfile import ModelFile, open_model
from derain.engines.parity import BARS
from derain.engines.plans.key import Target
from derain.engines.plans.obtain import obtain
from derain.engines.plans.planning import wanted
from derain.engines.plans.store import StoredPlan
from derain.engines.tensorrt import PlanEngine, against_card
from derain.engines.trt import PACKAGES, Runtime
from derain.engines.trt_plans import Plans, Progress, usual_profiles
from derain.pipeline.commands.engine_words import json_option, tell_stored
from derain.pipeline.commands.options import name_option
from derain.pipeline.log import logging_to_stderr
from derain.pipeline.tiling import round_up

DTYPES = {"8": "uint8", "16": "uint16"}


@dataclass(frozen=True)
class Order:
    """What is to be built. `size`: (width, height) of the frames, None for all sizes."""

    model: ModelFile
    options: EngineOptions
    runtime: Runtime
    precision: str
    size: tuple[int, int] | None

    @property
    def shape(self) -> Shape | None:
        """Of one frame as the network gets it: its size continued to what it takes."""
        if self.size is None:
            return None
        multiple_of = self.model.card.multiple_of
        return 1, round_up(self.size[1], multiple_of), round_up(self.size[0], multiple_of)


def read_capabilities(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """ "86,89" as ("86", "89"), in rising order."""
    if text is None:
        return ()
    parts = [part.strip().replace(".", "") for part in text.split(",")]
    if not all(re.fullmatch(r"\d{2,3}", part, re.ASCII) for part in parts):
        raise UsageError(f"--capability takes numbers such as 86,89,120, not {text!r}")
    return tuple(sorted(set(parts), key=int))


def read_size(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """ "1280x720" as (1280, 720)."""
    if text is None:
        return None
    if not (found := re.fullmatch(r"(\d{1,5})x(\d{1,5})", text, re.ASCII)) or not min(
        map(int, found.groups())
    ):
        raise UsageError(f"--shape takes a width and a height such as 1280x720, not {text!r}")
    return int(found[1]), int(found[2])


@click.command("build")
@click.argument("model", callback=name_option)
@click.option("--backend", type=click.Choice(list(PACKAGES)), default="tensorrt_rtx", show_default=True)
@click.option("--precision", "asked", type=click.Choice(list(BARS)), default="fp16", show_default=True)
@click.option(
    "--capability",
    "capabilities",
    callback=read_capabilities,
    metavar="N,...",
    help="Compute capabilities of the cards to build for, 86,89,120 say; the card here without.",
)
@click.option(
    "--shape", "size", callback=read_size, metavar="WxH", help="For frames of one size, not of all."
)
@click.option(
    "--bits", type=click.Choice(list(DTYPES)), default="8", show_default=True, help="Of the pixels."
)
@json_option
def command(
    model: str,
    backend: str,
    asked: str,
    capabilities: tuple[str, ...],
    size: tuple[int, int] | None,
    bits: str,
    as_json: bool,
) -> None:
    """Build the plan that derain video takes for MODEL, and keep it.

    For the card in this machine it is checked against fp32; for cards elsewhere (--capability) where it first
    runs.
    """
    file = precision.choose(open_model(models.find(model)), backend, asked).file
    options = EngineOptions(backend, asked, dtype=DTYPES[bits], scores=file.attention)
    order = Order(file, options, trt.load(backend), asked, size)
    with logging_to_stderr("info"):
        stored = for_cards(order, capabilities) if capabilities else for_this_card(order)
    tell_stored(stored, as_json)


def for_cards(order: Order, capabilities: tuple[str, ...]) -> StoredPlan:
    """The plan for cards of those capabilities, whether there is one here or not."""
    shape = order.shape
    profiles = usual_profiles(order.model) if shape is None else (Profile.fixed(shape),)
    target = Target.portable(capabilities)
    plan = wanted(order.model, order.options, order.runtime, target, order.precision, profiles)
    return obtain(plan.key, partial(plan.build, Progress()), tell=say)


def say(line: str) -> None:
    """A line on stderr."""
    click.echo(f"derain: {line}", err=True)


def for_this_card(order: Order) -> StoredPlan:
    """The plan for the card in this machine, checked, or of the next precision up that is near enough."""
    if reason := opening.unavailable():
        raise UsageError(
            f"there is no GPU here to build for ({reason}); name cards with --capability 86,89,120"
        )
    with opening.open_device() as device:
        if reason := against_card(order.runtime, device.facts):
            raise UsageError(reason)

        def run(file: ModelFile, stored: StoredPlan) -> PlanEngine:
            return PlanEngine(file, order.options, order.runtime, device, stored)

        plans = Plans(order.model, order.options, order.runtime, device.facts, run)
        shape = order.shape
        return plans.usual(order.precision) if shape is None else plans.only_for(shape, order.precision)
