"""The trainer: a run of a recipe, with a discriminator or without, that resumes bit by bit."""

import logging
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from derain.engines.errors import DerainError, UsageError
from derain.train import fields
from derain.train.checkpoint import State, averaged, begin_with, reason, restore, save
from derain.train.clips import patches_of, size_of_clip
from derain.train.datasets import pictures, read_pairs, size_on_disk, split
from derain.train.fine_tuning import calibrate, check_options, round_both
from derain.train.interrupt import held_back
from derain.train.networks.recurrent import state_shapes
from derain.train.networks.registry import build_discriminator, build_network, entry
from derain.train.objectives import missing, objective_of, refused
from derain.train.optimisers import judge_optimiser_of, optimiser_of
from derain.train.parallel import AgreedError, any_of, together
from derain.train.patches import Batch
from derain.train.preview import save_samples
from derain.train.recipe import Recipe
from derain.train.record.curves import summed_up
from derain.train.record.provenance import sha256_of
from derain.train.run_folder import RunFolder
from derain.train.sets.layouts import Pair
from derain.train.sets.loader import load
from derain.train.sets.merged import merged
from derain.train.stages import largest, samples_before, stages
from derain.train.steps import Figures, NotFiniteError, Plan, step
from derain.train.teacher import teacher_of
from derain.train.validation import fixed, input_psnr, psnr
from derain.train.watch import Watch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """Where and how long.

    `data`: folder the recipe's photos and pairs lie in. `resume`: go on from the checkpoint in `output`,
    where there is one. `start_from`: a checkpoint whose averaged weights a new run begins with, of the same
    network; a run that goes on has begun already, and does not look at it. `time_limit`: seconds, None for
    none. `device`: "cpu" or "cuda". `vgg16`: weights for losses that need them. `teacher`: a checkpoint of a
    network that this one learns from. `calibration`: a folder or a video of frames that a run under INT8's
    rounding begins with. Checkpoints and logs come every so many steps. `where`: the recipe's file, for
    errors; "" where it has none.
    """

    data: Path
    output: Path
    resume: bool = False
    start_from: Path | None = None
    time_limit: float | None = None
    workers: int = 1
    device: str = "cpu"
    vgg16: Path | None = None
    teacher: Path | None = None
    calibration: Path | None = None
    log_every: int = 100
    checkpoint_every: int = 1000
    where: str = ""


def train(recipe: Recipe, options: RunOptions) -> Path:
    """Runs a recipe to its end or the time limit; returns the checkpoint's path.

    Raises UsageError for a recipe that can't be run and for a run folder that holds another run, before any
    data is read, and DerainError where training diverges or a checkpoint can't be written: the checkpoint
    before is intact then. Ctrl-C raises KeyboardInterrupt after the step that was begun, and leaves a
    checkpoint; a second one raises it at once.
    """
    check(recipe, options)
    teacher = teacher_of(recipe, options.teacher)
    sources = sources_of(recipe, options.data)
    still = fixed(recipe, options.data)
    with together(options.device) as share:
        objective = objective_of(recipe, options.vgg16)
        plan = Plan(recipe, objective, options.device, share)
        for helper in objective.helpers():
            helper.to(options.device)
        state = fresh_state(recipe, options)
        if teacher is not None:
            plan = replace(plan, teacher=teacher.network.to(options.device))
            state.given["teacher"] = teacher.told
        state.given["processes"] = str(share.size)
        begin(state, recipe, options)
        for sentence in (missing(objective), idle_states(state.network, recipe)):
            if sentence and share.rank == 0:
                log.warning("%s", sentence)
        Run(state, plan, options, sources, still).go()
    return options.output / "checkpoint.pt"


def check(recipe: Recipe, options: RunOptions) -> None:
    """UsageError for what can be told before any data is read."""
    with named(options.where or f"the recipe {recipe.name}"):
        check_recipe(recipe)
    objective_of(recipe, options.vgg16)
    if (options.output / "checkpoint.pt").exists() and not options.resume:
        raise UsageError(
            f"{options.output} holds a run already; go on with --resume, or give another --output"
        )
    if not (options.output / "checkpoint.pt").exists():
        check_options(recipe, options.start_from, options.calibration)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda needs an NVIDIA GPU and torch built for it; leave it out for the CPU")


@contextmanager
def named(where: str) -> Iterator[None]:
    """Sentences about a recipe begin with its file."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{where} {error}") from error


def check_recipe(recipe: Recipe) -> None:
    """UsageError, by section and key, where the network or the loss is unknown, or does not fit."""
    network = entry(recipe.network.name)
    for number, patch in enumerate([recipe.train.patch, *(stage.patch for stage in recipe.train.stages)]):
        if patch % network.multiple_of:
            raise UsageError(
                f"[train] {f'stages {number} ' if number else ''}patch takes multiples of "
                f"{network.multiple_of} with {network.name}, not {patch}"
            )
    if sentence := refused(network, objective_of(recipe), recipe.loss.name):
        raise UsageError(f"[loss] {sentence}")
    for number, stage in enumerate(recipe.train.stages, 1):
        fields.check(type(objective_of(recipe)), stage.weights, f"[train] stages {number} weights")
    with torch.device("meta"):
        build_network(recipe.network)


def idle_states(network: nn.Module, recipe: Recipe) -> str:
    """Why a network would not learn to remember, in a sentence; "" where it has nothing to, or does."""
    if not state_shapes(network) or recipe.data.frames > 1:
        return ""
    return (
        f"{recipe.network.name} remembers the frames before, which samples of one frame don't teach it; "
        f"give --set data.frames=6"
    )


def fresh_state(recipe: Recipe, options: RunOptions) -> State:
    """An untrained state, its weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    random.seed(recipe.seed)
    form = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
    network = build_network(recipe.network).to(options.device, memory_format=form)  # type: ignore[call-overload]
    state = State(network, averaged(network), optimiser_of(network, recipe.train))
    judge = build_discriminator(recipe.network)
    if judge is not None:
        state.judge = judge.to(options.device, memory_format=form)  # type: ignore[call-overload]
        state.judge_optimiser = judge_optimiser_of(judge, recipe)
    if options.vgg16 is not None:
        state.given["vgg16"] = sha256_of(options.vgg16)
    return state


def begin(state: State, recipe: Recipe, options: RunOptions) -> None:
    """Takes the checkpoint to go on from, or the weights to begin with; makes the run folder."""
    checkpoint = options.output / "checkpoint.pt"
    if checkpoint.exists():
        if recipe.train.quantised:
            round_both(state)
        restore(state, recipe, checkpoint)
        log.info("going on from step %d of %s", state.step, checkpoint)
    elif options.start_from:
        begin_with(state, options.start_from)
        if options.calibration:
            calibrate(state, recipe, options.calibration)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the run folder {options.output} can't be made: {error.strerror}") from error


class Sources(NamedTuple):
    """What patches and clips are cut of."""

    photos: list[Path]
    pairs: list[Pair]
    clips: list[Path]

    @property
    def files(self) -> list[Path]:
        twins = (path for pair in self.pairs for path in (pair.rainy, pair.clean))
        return [*self.photos, *twins, *self.clips]


def sources_of(recipe: Recipe, data: Path) -> Sources:
    """What the recipe names; UsageError where it isn't there, or is too small for a patch."""
    clips = [data / name for name in recipe.data.clips]
    found = Sources(training_photos(recipe, data), training_pairs(recipe, data), clips)
    if not any(found):
        raise UsageError(
            f"{data / recipe.data.photos[0]} has one picture, which is held out from training; add some"
        )
    patch = largest(recipe.train)
    sizes = [(path, size_on_disk(path), 1) for path in found.photos]
    sizes += [(pair.clean, size_on_disk(pair.clean), 1 + pair.halves) for pair in found.pairs]
    sizes += [(path, size_of_clip(path), 1) for path in found.clips]
    for path, (width, height), parts in sizes:
        if (side := min(width // parts, height)) < patch:
            way = f"[train] stages patches of {side}" if recipe.train.stages else f"--set train.patch={side}"
            raise UsageError(
                f"{path} is {width // parts}x{height}, smaller than a patch of {patch}x{patch}; "
                f"give {way} or less, or leave it out"
            )
    return found


def training_photos(recipe: Recipe, data: Path) -> list[Path]:
    """The recipe's photos that are not held out."""
    return [
        p for folder in recipe.data.photos for p in split(pictures(data / folder), recipe.data.hold_out)[0]
    ]


def training_pairs(recipe: Recipe, data: Path) -> list[Pair]:
    """The pairs of the recipe's sets, or of their splits that it names."""
    if recipe.data.splits:
        return [p for folder in recipe.data.pairs for p in merged(data / folder, recipe.data.splits).pairs]
    return [pair for folder in recipe.data.pairs for pair in read_pairs(data / folder)]


@contextmanager
def written(folder: Path, step: int) -> Iterator[None]:
    """DerainError where a file of the run folder can't be written."""
    try:
        yield
    except OSError as error:
        raise DerainError(
            f"the run folder {folder} can't be written at step {step}: {reason(error)}; "
            f"make room and go on with --resume"
        ) from error


class Run:
    """A run on its way: steps until the recipe's end or the time limit, logged, validated and saved."""

    def __init__(
        self, state: State, plan: Plan, options: RunOptions, sources: Sources, still: Batch | None
    ) -> None:
        self.state, self.plan, self.options = state, plan, options
        self.recipe, self.first, self.fixed = plan.recipe, plan.share.rank == 0, still
        first = state.step * self.recipe.train.accumulate
        self.patches = patches_of(self.recipe, *sources, first, plan.objective.apart, plan.share)
        self.folder: RunFolder | None = None
        if self.first:
            with written(options.output, state.step):
                self.folder = RunFolder(options.output, plan, state.step)
                self.folder.describe(options.data, sources.files)
        self.watch = Watch(**state.watch)
        self.started = self.logged = time.monotonic()

    def go(self) -> None:
        """All steps; a checkpoint at the end, however the run ends, unless it went wrong."""
        asked = False
        with closing(load(self.patches, self.options.workers)) as source, held_back() as interruption:
            while self.state.step < self.recipe.train.steps:
                self.one(list(islice(source, self.recipe.train.accumulate)))
                asked = any_of(interruption.asked, self.plan.share, self.plan.device)
                if asked or self.out_of_time():
                    break
            self.finish()
        if asked:
            raise KeyboardInterrupt

    def one(self, batches: Sequence[Batch]) -> None:
        """One step, and what is due after it."""
        try:
            figures = step(self.state, self.plan, batches)
        except NotFiniteError as error:
            raise AgreedError(self.wrong(f"{error} is not a finite number", self.state.step)) from error
        self.state.since += map(asdict, figures)
        for one in figures:
            if warning := self.watch.see(one):
                log.warning("step %d: %s", self.state.step, warning)
        if any_of(self.watch.diverged, self.plan.share, self.plan.device):
            what = "training diverges: the error is ten times its least"
            raise AgreedError(self.wrong(what, self.state.step - 1))
        if self.folder is not None:
            with written(self.options.output, self.state.step):
                self.note(batches[-1], self.folder)

    def wrong(self, what: str, step: int) -> str:
        """The sentence that ends a run that went wrong after so many steps."""
        first, end = (samples_before(self.recipe.train, n) * self.plan.share.size for n in (step, step + 1))
        checkpoint = self.options.output / "checkpoint.pt"
        good = (
            f"the last good checkpoint is {checkpoint}" if checkpoint.exists() else "there is no checkpoint"
        )
        return (
            f"{what} at step {step + 1}, samples {first} to {end - 1} of seed {self.recipe.seed}; {good}; "
            f"try a lower train.rate"
        )

    def note(self, batch: Batch, folder: RunFolder) -> None:
        """Log, validation, checkpoint and samples, each where it is due."""
        at = self.state.step
        last = at == self.recipe.train.steps
        if at % self.options.log_every == 0 or last:
            self.report(folder)
        if self.fixed is not None and (at % self.recipe.validation.every == 0 or last):
            self.validate(self.fixed, folder)
        for stage in stages(self.recipe.train):
            if stage.begin == at:
                size = f"{stage.patch}x{stage.patch}"
                log.info("from step %d on batches of %d patches of %s pixels", at, stage.batch, size)
        if at % self.options.checkpoint_every == 0:
            self.save("checkpoint.pt")
            shown = batch if self.fixed is None else self.fixed
            self.save_samples(shown)
            folder.tell(self.state)

    def save(self, name: str) -> None:
        """A checkpoint of that name."""
        self.state.watch = asdict(self.watch)
        save(self.state, self.recipe, self.options.output / name)

    def save_samples(self, batch: Batch) -> None:
        """The sheet of samples, of `batch`."""
        maps = entry(self.recipe.network.name).maps
        save_samples(self.state, batch, self.options.output / "samples.png", maps)

    def report(self, folder: RunFolder) -> None:
        """The means since the last report: a line of plain text, the curves and TensorBoard."""
        since = self.state.since
        row = summed_up([Figures(**one) for one in since], self.recipe, self.state.step)
        row |= self.watch.counts
        now = time.monotonic()
        rate = len(since) / self.recipe.train.accumulate / max(now - self.logged, 1e-9)
        folder.add(self.state.step, row)
        told = "  ".join(f"{name} {value:.5g}" for name, value in row.items())
        log.info("step %d/%d  %s  %.2f steps/s", self.state.step, self.recipe.train.steps, told, rate)
        self.state.since, self.logged = [], now

    def validate(self, batch: Batch, folder: RunFolder) -> None:
        """PSNR on the fixed patches; the checkpoint of the best is kept."""
        if folder.last("validation_input") is None:
            folder.add(self.state.step, {"validation_input": input_psnr(batch)})
        found = psnr(self.state, batch, self.options.device)
        folder.add(self.state.step, {"validation_psnr": found})
        log.info("step %d/%d  validation %.2f dB", self.state.step, self.recipe.train.steps, found)
        if self.state.best is None or found > self.state.best:
            self.state.best = found
            self.save("best.pt")

    def out_of_time(self) -> bool:
        """Whether the time limit has passed, in any process."""
        limit = self.options.time_limit
        if limit is None:
            return False
        late = any_of(time.monotonic() - self.started > limit, self.plan.share, self.plan.device)
        if late and self.first:
            log.info("the time limit ends the run at step %d of %d", self.state.step, self.recipe.train.steps)
        return late

    def finish(self) -> None:
        """The last checkpoint, samples, curves and card."""
        if self.folder is None:
            return
        with written(self.options.output, self.state.step):
            self.save("checkpoint.pt")
            if self.fixed is not None:
                self.save_samples(self.fixed)
            self.folder.tell(self.state)
