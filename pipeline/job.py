"""One video restored from file to file: all the user may ask for, checked before the work, then done."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import psutil

from derain.engines.engine import Engine, EngineOptions, Pixels
from derain.engines.errors import UsageError
from derain.engines.registry import off_cpu, on_cpu
from derain.engines.swapping import Successor
from derain.pipeline.bypass import (
    Bypass,
    BypassChoice,
    Watch,
    check_bypass,
    looks_for_rain,
    open_watch,
)
from derain.pipeline.choosing import open_chosen, pace_of
from derain.pipeline.compare import (
    MASK_LEVELS,
    Comparison,
    altered_picture,
    compare_displayed,
    heat_map,
    rain_layer,
    side_size,
)
from derain.pipeline.gpu.way import DecoderChoice, Way, Wishes, check_decoder, open_way, run_on_card
from derain.pipeline.metrics import Snapshot
from derain.pipeline.progress import Facts, QuietTeller, Teller, end_of_report
from derain.pipeline.relay import Relay
from derain.pipeline.restore import (
    Restorer,
    TileChoice,
    attention_of,
    automatic_side,
    check_strength,
    rgb_of,
)
from derain.pipeline.runner import Compose, Output, Report, restored_only, run
from derain.pipeline.sinks.file import FileSink
from derain.pipeline.source import StreamInfo
from derain.pipeline.sources.file import FileSource


@dataclass(frozen=True)
class VideoJob:
    """What is to be done.

    `model`: a shipped name, a path, or "auto", see `choosing`. `start`, `duration`: seconds of the input,
    exact. `codec`, `encoder_options` and `crf` hold for every output, `compare` for the main one.
    `bypass`: whether frames without rain skip the network. `rain_layer`: a further video of what was taken
    away. `show_attention`: one of where the network sees rain, for networks that tell. `mask_out`: one that
    is white where a pixel was altered by more than `mask_levels` of 255, black elsewhere. `instant`: what
    takes long to open does so while the CPU restores, and takes over between two frames; a run can then not
    be repeated bit by bit. `decoder`: see `gpu.way`; a `codec` of None is the card's where the network runs
    there, see `sinks.encoder`.
    """

    input: Path
    output: Path
    model: str = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    tile: TileChoice = "auto"
    strength: float = 1.0
    bypass: BypassChoice = "auto"
    decoder: DecoderChoice = "auto"
    instant: bool = False
    codec: str | None = None
    encoder_options: Mapping[str, str] = field(default_factory=dict)
    crf: float | None = None
    compare: Comparison | None = None
    rain_layer: Path | None = None
    show_attention: Path | None = None
    mask_out: Path | None = None
    mask_levels: int = MASK_LEVELS
    start: Fraction | None = None
    duration: Fraction | None = None
    as_progressive: bool = False
    drop_unsupported: bool = False
    overwrite: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """What will be written, the main output first."""
        further = (self.rain_layer, self.show_attention, self.mask_out)
        return (self.output, *(path for path in further if path is not None))


def derain_video(job: VideoJob, teller: Teller | None = None) -> Report:
    """Restores a video file; see `runner.run` for how it ends.

    Raises UsageError before any work where the job can't be done, DerainError where it fails, Interrupted on
    Ctrl-C. An input that ends early is no error: the report's `shortfall` says what is missing.
    """
    with ExitStack() as stack:
        teller = stack.enter_context(QuietTeller() if teller is None else teller)
        check_strength(job.strength)
        check_bypass(job.bypass)
        check_decoder(job.decoder)
        source = stack.enter_context(FileSource(job.input, job.start, job.duration, job.as_progressive))
        check_files(job)
        outputs = open_outputs(job, source, stack)
        options = engine_options(job, source.info)
        later = off_cpu(options) if job.instant else ()
        begin_with = on_cpu(options) if later else options
        chosen = open_chosen(job.model, begin_with, pace_of(source.info), job.tile)
        engine = stack.enter_context(chosen.engine)
        relay = Relay(chosen.path, options, stack)
        restorer = Restorer(engine, job.tile, job.strength, sequence=True, spare=relay.spare)
        relay.follow(restorer, Successor(chosen.path, options, later, engine) if later else None)
        watch = open_watch(job.bypass, engine, begin_with, stack)
        sink = main_sink(outputs)
        way = open_way(job.decoder, source, engine, wishes(job, sink, later), stack)
        facts = on_its_way(gather(job, source, engine, chosen.why, watch, later), way, sink)
        teller.start(facts)
        if way.source is None or way.restorer is None:
            report = restore(source, restorer, watch, relay, outputs, facts.frames, teller)
        else:
            report = run_on_card(way.source, way.restorer, sink, watch, facts.frames, teller.update)
        teller.end(end_of_report(report, job.files))
    return report


def restore(
    source: FileSource,
    restorer: Restorer,
    watch: Watch,
    relay: Relay,
    outputs: Sequence[Output],
    expected: int | None,
    teller: Teller,
) -> Report:
    """The run itself; `expected`: about how many frames."""

    def tell(snapshot: Snapshot) -> None:
        tell_changes(relay, teller)
        teller.update(snapshot)

    rate = source.info.average_rate
    judge = Bypass(restorer, watch, rate) if restorer.engine.gives_scores else None
    forget = restorer.reset if restorer.remembers else None
    report = run(
        *(source, judge or restorer, outputs),
        expected=expected,
        tell=tell,
        forget=forget,
        judge=judge,
        relay=relay,
    )
    relay.end()
    tell_changes(relay, teller)
    return replace(report, engines=relay.changes)


def tell_changes(relay: Relay, teller: Teller) -> None:
    """Those that were not told yet."""
    for change in relay.news():
        teller.changed(change)


def main_sink(outputs: Sequence[Output]) -> FileSink:
    """The file of the main output."""
    sink = outputs[0].sink
    assert isinstance(sink, FileSink), "open_outputs opens files"
    return sink


def wishes(job: VideoJob, sink: FileSink, later: Sequence[str]) -> Wishes:
    """What of the job keeps pictures from staying on a card."""
    return Wishes(
        sink,
        strength=job.strength,
        tiles=isinstance(job.tile, int),
        against=(
            "the engine will change" if later else "",
            "rainy and restored are compared" if job.compare else "",
            "further videos are made of them" if len(job.files) > 1 else "",
        ),
    )


def on_its_way(facts: Facts, way: Way, sink: FileSink) -> Facts:
    """The facts, with what decodes and encodes."""
    return replace(
        facts,
        decoder=way.decoder,
        decoder_reason=way.why,
        encoder=sink.encoding.codec,
        encoder_reason=sink.encoding.why,
        tiles="none" if way.restorer is not None else facts.tiles,
    )


def check_files(job: VideoJob) -> None:
    """Raises UsageError where two of the job's files are one, by name or by link."""
    named = {
        "input": job.input,
        "output": job.output,
        "rain layer": job.rain_layer,
        "attention video": job.show_attention,
        "mask": job.mask_out,
    }
    files = [(name, path) for name, path in named.items() if path is not None]
    for number, (name, path) in enumerate(files):
        for other, taken in files[:number]:
            if same_file(path, taken):
                raise UsageError(f"the {name} {path} is the same file as the {other}; give it another name")


def same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to one file, there already or not."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def open_outputs(job: VideoJob, source: FileSource, stack: ExitStack) -> list[Output]:
    """The main output and those further ones that are asked for; `stack` closes their sinks."""
    info, main, wide = source.info, restored_only, None
    if job.compare is not None:
        main = partial(compare_displayed, comparison=job.compare, rotation=info.rotation)
    if job.compare == "side":
        wide = side_size(info.width, info.height, info.rotation)
    outputs = [Output(stack.enter_context(open_sink(job, job.output, source, wide)), of_colours(main))]
    further = (
        (job.rain_layer, of_colours(rain_layer)),
        (job.show_attention, show_attention),
        (job.mask_out, of_colours(partial(altered_picture, levels=job.mask_levels))),
    )
    for path, compose in further:
        if path is not None:
            outputs.append(Output(stack.enter_context(open_sink(job, path, source)), compose))
    return outputs


def of_colours(compose: Compose) -> Compose:
    """`compose` for restored pixels that may have an attention map, which it does not get."""
    return lambda rainy, restored: compose(rainy, rgb_of(restored))


def show_attention(rainy: Pixels, restored: Pixels) -> Pixels:
    """The heat map of restored pixels (H, W, 4) over the rainy ones."""
    return heat_map(rainy, attention_of(restored))


def open_sink(job: VideoJob, path: Path, source: FileSource, size: tuple[int, int] | None = None) -> FileSink:
    """A file for pictures of `size` (width, height), the input's where None."""
    return FileSink(
        path,
        source,
        codec=job.codec,
        options=job.encoder_options,
        crf=job.crf,
        overwrite=job.overwrite,
        drop_unsupported=job.drop_unsupported,
        size=size,
        on_card=job.codec is None and bool(off_cpu(job.engine)),
    )


def engine_options(job: VideoJob, info: StreamInfo) -> EngineOptions:
    """The job's engine options with the pixels the input decodes to, the attention map if it is shown, and
    scores where the network has any."""
    dtype = "uint16" if info.bit_depth > 8 else "uint8"
    scores = job.strength > 0 and looks_for_rain(job.model)
    return replace(job.engine, dtype=dtype, attention=job.show_attention is not None, scores=scores)


def gather(
    job: VideoJob,
    source: FileSource,
    engine: Engine,
    model_reason: str,
    watch: Watch,
    later: Sequence[str],
) -> Facts:
    """What runs, for the first line."""
    return Facts(
        input=str(job.input),
        outputs=tuple(str(path) for path in job.files),
        model=engine.card.name,
        model_version=engine.card.version,
        backend=engine.backend,
        precision=engine.precision,
        tiles=tiles_in_words(job.tile, source.info, engine),
        width=source.info.width,
        height=source.info.height,
        frames=expected_frames(source, job.start, job.duration),
        precision_reason=engine.precision_reason,
        backend_reason=engine.backend_reason,
        model_reason=model_reason,
        bypass="auto" if watch.active else "off",
        bypass_reason=watch.why,
        instant=instant_in_words(later, engine) if job.instant else "",
    )


def instant_in_words(later: Sequence[str], engine: Engine) -> str:
    """What opens meanwhile, or why there is nothing to be waited for."""
    if later:
        return f"{' or '.join(later)} opens meanwhile"
    return f"nothing opens meanwhile: {engine.backend} is what runs here"


def tiles_in_words(tile: TileChoice, info: StreamInfo, engine: Engine) -> str:
    """ "none", "512", or what "auto" makes of the memory that is free now."""
    if tile != "auto":
        return str(tile)
    free = psutil.virtual_memory().available
    return f"auto ({automatic_side(info.height, info.width, engine.card, free) or 'none'})"


def expected_frames(source: FileSource, start: Fraction | None, duration: Fraction | None) -> int | None:
    """About how many frames a cut has, for progress only; None where the file gives no clue."""
    info = source.info
    if start is None and duration is None and info.frames is not None:
        return info.frames
    if info.average_rate is None or source.length is None:
        return None
    seconds = source.length - (start or 0)
    if duration is not None:
        seconds = min(seconds, duration)
    return max(0, round(seconds * info.average_rate))
