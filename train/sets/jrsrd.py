"""JRSRD built from Qian's raindrop set: streaks of four intensities over every picture with real drops.

Zhang et al. 2021, section 4.4: four rainy pictures for each of the raindrop set, noise levels between 20 %
and 60 %; 861 training pairs become 3,444 and the 58 of test_a become 232.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from derain.engines.errors import UsageError
from derain.train.datasets import RGB, read_pair, read_pairs
from derain.train.degradations import jrsrd
from derain.train.sets.layouts import Pair, PairedSet, read_sets
from derain.train.whole_folder import check_new, whole_folder, write_png

INTENSITIES = tuple(range(1, len(jrsrd.NOISE) + 1))
RECORD = "jrsrd.json"


def build(qian: Path, output: Path, seed: int, tell: Callable[[int, int], None]) -> int:
    """Writes JRSRD of the set in `qian`, or of one split of it, into the new folder `output`.

    The same splits, `data/N_rain_K.png` and `gt/N_clean`, and every parameter in jrsrd.json. The same seed
    and pictures give the same pixels; a picture's rain depends on its name, not on those beside it. `tell`
    hears of pictures done and all there are. Returns the number of pairs; UsageError where `qian` is no such
    set or `output` exists, DerainError names a pair that can't be read. It appears whole or not at all.
    """
    check_new(output)
    sets = raindrop_sets(qian)
    total = sum(len(one.pairs) for one in sets)
    done = 0
    record: dict[str, Any] = {"seed": seed, "noise": jrsrd.NOISE, "pictures": {}}
    with whole_folder(output) as folder:
        for one in sets:
            place = folder / one.split
            for twin in ("data", "gt"):
                (place / twin).mkdir(parents=True)
            for pair in one.pairs:
                record["pictures"].update(write_four(place, pair, seed))
                done += 1
                tell(done, total)
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return total * len(INTENSITIES)


def raindrop_sets(folder: Path) -> tuple[PairedSet, ...]:
    """Qian's splits in `folder`; UsageError where it is another set or pictures lack their twins."""
    read_pairs(folder)
    sets = read_sets(folder)
    if others := sorted({one.layout for one in sets} - {"Qian"}):
        raise UsageError(
            f"{folder} is {', '.join(others)}; JRSRD is built from Qian's raindrop set, with data/N_rain and "
            f"gt/N_clean in train, test_a and test_b"
        )
    return sets


def write_four(place: Path, pair: Pair, seed: int) -> dict[str, Any]:
    """The clean picture as it is and the rainy one with each intensity; returns the streaks by picture."""
    number = pair.name.rsplit("/", 1)[-1]
    shutil.copyfile(pair.clean, place / "gt" / pair.clean.name)
    drops, _ = read_pair(pair)
    height, width = drops.shape[:2]
    params = {}
    for intensity in INTENSITIES:
        name = f"{number}_rain_{intensity}"
        rng = np.random.default_rng([seed, intensity, *pair.name.encode()])
        streaks = jrsrd.sample(rng, height, width, intensity)
        write_png(place / "data" / f"{name}.png", rained_on(drops, streaks))
        params[f"{pair.name}_rain_{intensity}"] = asdict(streaks)
    return params


def rained_on(drops: RGB, streaks: jrsrd.NoiseStreaks) -> RGB:
    """(H, W, 3) uint8 with the streaks over it."""
    image = jrsrd.apply(drops.astype(np.float32) / np.float32(255), streaks).image
    return np.asarray((image * 255).round(), np.uint8)
