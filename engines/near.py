"""The precision "auto" on a GPU: fp16, where probe frames come out of it near to those of fp32."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from derain.engines import selfcheck
from derain.engines.engine import Engine, EngineOptions
from derain.engines.modelfile import ModelFile

PROBED = 128
"""Pixels a side, at least, of the probe frames."""

E = TypeVar("E", bound=Engine)
log = logging.getLogger(__name__)


def in_halves(
    model: ModelFile,
    options: EngineOptions,
    opened: Callable[[EngineOptions], E],
    tried: Callable[[EngineOptions], Engine],
) -> E:
    """`opened` in the precision that is asked for; where that is "auto", in fp16, or else in fp32.

    `tried`: opens what the two are compared with on. A file that is not fp32 is opened as it is.
    """
    if options.precision != "auto" or model.card.precision != "fp32":
        return opened(options)
    half, whole = (replace(options, precision=name) for name in ("fp16", "fp32"))
    side = -(-PROBED // model.card.multiple_of) * model.card.multiple_of
    with tried(half) as mine, tried(whole) as reference:
        found = selfcheck.check(mine, reference, (1, side, side), options.dtype)
    if found.passed:
        engine = opened(half)
        engine.precision_reason = f"the fastest on a GPU; {found.worst.told()}"
        return engine
    log.warning(
        "the network %r runs in fp32: fp16 is too far from it: %s", model.card.name, found.failures[0]
    )
    engine = opened(whole)
    engine.precision_reason = f"fp16 is too far off: {found.failures[0]}"
    return engine
