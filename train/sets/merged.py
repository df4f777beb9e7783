"""Splits of one paired set taken together to train on: more pairs, and figures that are void."""

import logging
from dataclasses import dataclass
from pathlib import Path

from derain.engines.errors import UsageError
from derain.train.sets.layouts import Pair, PairedSet, read_sets

log = logging.getLogger(__name__)
LAYOUT = "Qian"
INSIDE = {"test_b": "test_a"}
"""What lies inside a split: test_a is those pairs of test_b whose twins are well aligned."""


@dataclass(frozen=True)
class Merged:
    """`pairs` to train on; `void`: the splits that are no test any more; `warning`: that in a sentence, ""
    for none."""

    pairs: tuple[Pair, ...]
    void: tuple[str, ...]
    warning: str


def merged(folder: Path, splits: tuple[str, ...] = ("train", "test_b")) -> Merged:
    """The pairs of those splits of Qian's set in `folder`, with a warning, logged too, where one is a test.

    Raises UsageError for a split that isn't there and for a pair that has no twin.
    """
    sets = {Path(one.split).name: one for one in read_sets(folder) if one.layout == LAYOUT}
    if missing := [name for name in splits if name not in sets]:
        there = ", ".join(sorted(sets)) or f"no split in the layout of {LAYOUT}"
        raise UsageError(f"{folder} has no split {', '.join(missing)}; it has {there}")
    found = [whole(sets[name]) for name in splits]
    void = tuple(sorted({v for name in splits if name != "train" for v in (name, INSIDE.get(name, name))}))
    warning = told(void) if void else ""
    if warning:
        log.warning("%s", warning)
    return Merged(tuple(pair for one in found for pair in one.pairs), void, warning)


def whole(one: PairedSet) -> PairedSet:
    """The set; UsageError where something is wrong with its names."""
    if one.problems:
        first = one.problems[0]
        raise UsageError(f"{one.folder}: {first.name} has {first.text}; derain datasets check tells them all")
    return one


def told(void: tuple[str, ...]) -> str:
    """The warning for tests that are trained on."""
    names = " and ".join(void)
    return f"training takes in test pictures: figures of this network on {names} are void"
