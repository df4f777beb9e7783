"""Where every drop is at a time: sliding, merging, drying, wiped. A function of the params and the time
alone.

Simplifications, so that no state is needed: a drop that slides takes up drops that rest in its way, not other
sliding ones, and finds them with the width it began with. What a wiper takes it takes at the places where
drops are when its sweep begins.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from derain.train.degradations.drop_params import Drop, Raindrops, Slide, Wiper
from derain.train.degradations.drop_shapes import Blobs, blobs, joined, mist_blobs

Times = npt.NDArray[np.float64]

FLOW = 0.15
"""Seconds within which a drop flows into another."""
TRAIL_GAP = 1.1
"""Distance between droplets of a trail, in radii of the drop."""


def travelled(slide: Slide, time: Times) -> Times:
    """Pixels run down by `time` (N,) in seconds: in steps, as drops on glass do."""
    since = np.maximum(time - slide.start, 0)
    period = slide.pause + slide.run
    steps = np.floor(since / period)
    return slide.speed * (steps * slide.run + np.clip(since - steps * period - slide.pause, 0, slide.run))


def reached(slide: Slide, distance: Times) -> Times:
    """When the drop has run `distance` pixels (N,), in seconds; the inverse of `travelled`."""
    steps = np.floor(distance / (slide.speed * slide.run))
    rest = distance / slide.speed - steps * slide.run
    return slide.start + steps * (slide.pause + slide.run) + slide.pause + rest


def swayed(slide: Slide, distance: Times) -> Times:
    """Pixels to the side after `distance`."""
    return slide.sway * np.sin(distance * (2 * math.pi / slide.wave))


def wiped(wiper: Wiper, x: Times, y: Times, wipe: npt.NDArray[np.int_]) -> Times:
    """When wipe number `wipe` takes drops at (x, y), in seconds: as the blade passes first, or never."""
    angle = np.arctan2(y - wiper.y, x - wiper.x)
    low, high = sorted((wiper.begin, wiper.end))
    angle = low + (angle - low) % (2 * math.pi)
    under = (angle <= high) & (np.hypot(x - wiper.x, y - wiper.y) <= wiper.length)
    share = np.abs(angle - wiper.begin) / max(high - low, 1e-9)
    return np.where(under, wiper.first + wipe * wiper.period + share * wiper.sweep, np.inf)


def wipes(wiper: Wiper | None, time: float) -> int:
    """How many wipes have begun."""
    return 0 if wiper is None else max(0, math.floor((time - wiper.first) / wiper.period) + 1)


@dataclass(frozen=True)
class Glass:
    """Drops of one generation, their columns (N,) and when each is `gone` under the wiper, in seconds."""

    drops: tuple[Drop, ...]
    x: Times
    y: Times
    radius: Times
    gone: Times


def glass(drops: tuple[Drop, ...], small: Blobs | None, wiper: Wiper | None, time: float) -> Glass:
    """The drops that were there first, those that slide ahead of those of the mist."""
    table = np.array([(d.x, d.y, d.radius) for d in drops], np.float64).reshape(-1, 3)
    if small is not None:
        table = np.concatenate([table, np.stack([small.x, small.y, small.radius], axis=1)])
    x, y, radius = np.ascontiguousarray(table.T)
    gone = np.full(len(x), np.inf)
    count = wipes(wiper, time)
    if wiper is not None and count:
        gone = wiped(wiper, x, y, np.zeros(len(x), np.int_))
        number = np.arange(count)
        begun = np.asarray(wiper.first + number * wiper.period, np.float64)
        for index, drop in enumerate(drops):
            if drop.slide is not None:
                way = travelled(drop.slide, begun)
                gone[index] = wiped(wiper, drop.x + swayed(drop.slide, way), drop.y + way, number).min()
    return Glass(drops, x, y, radius, gone)


def meetings(all_drops: Glass) -> tuple[Times, list[tuple[int, Times]]]:
    """(when each drop is taken up by a sliding one, [(sliding drop, when it takes up each)])."""
    taken = np.full(len(all_drops.x), np.inf)
    begins = np.full(len(all_drops.x), np.inf)
    sliding = sorted(
        (drop.slide.start, index) for index, drop in enumerate(all_drops.drops) if drop.slide is not None
    )
    born = np.full(len(all_drops.x), -np.inf)
    born[: len(all_drops.drops)] = [drop.born for drop in all_drops.drops]
    for start, index in sliding:
        begins[index] = start
    takers = []
    for start, index in sliding:
        slide = all_drops.drops[index].slide
        if slide is None or taken[index] < start:
            continue
        when = met(all_drops, index, slide)
        when[(when >= np.minimum(taken, begins)) | (when >= all_drops.gone) | (when < born)] = np.inf
        when[when >= all_drops.gone[index]] = np.inf
        taken = np.minimum(taken, when)
        takers.append((index, when))
    return taken, takers


def met(all_drops: Glass, index: int, slide: Slide) -> Times:
    """When the sliding drop of that index touches each other one at rest, infinite for those off its way."""
    radius = all_drops.radius[index]
    touch = radius + 0.6 * all_drops.radius
    ahead = all_drops.y - all_drops.y[index]
    way = np.maximum(ahead - touch, 0)
    aside = np.abs(all_drops.x[index] + swayed(slide, np.maximum(ahead, 0)) - all_drops.x)
    when = np.where((aside < touch) & (ahead > 0), reached(slide, way), np.inf)
    when[index] = np.inf
    return np.asarray(when, np.float64)


def shrunk(drop: Drop, time: float) -> float:
    """Share of the radius that has not dried: its square falls evenly with time."""
    if time < drop.born:
        return 0.0
    if math.isinf(drop.life):
        return 1.0
    return math.sqrt(max(0.0, 1 - (time - max(drop.born, 0.0)) / drop.life))


def moved(all_drops: Glass, small: Blobs | None, time: float) -> list[Blobs]:
    """The drops of one glass as they are at `time`."""
    taken, takers = meetings(all_drops)
    there = all_drops.gone > time
    left = np.clip(1 - (time - taken) / FLOW, 0, 1) * there
    grown: dict[int, float] = {}
    for index, when in takers:
        had = np.sum(all_drops.radius[when <= time] ** 3)
        grown[index] = float((1 + had / all_drops.radius[index] ** 3) ** (1 / 3))
    rows: list[tuple[float, ...]] = []
    parts: list[Blobs] = []
    for index, drop in enumerate(all_drops.drops):
        size = drop.radius * left[index] * shrunk(drop, time) * grown.get(index, 1.0)
        x, y = drop.x, drop.y
        if drop.slide is not None and drop.slide.start < time:
            way = travelled(drop.slide, np.array(min(time, taken[index])))
            x, y = x + float(swayed(drop.slide, way)), y + float(way)
            if all_drops.gone[index] > time:
                parts.append(trail(drop, drop.slide, float(way), time))
        rows += caps(drop, x, y, size)
    parts.append(blobs(rows))
    if small is not None:
        parts.append(replace(small, radius=(small.radius * left[len(all_drops.drops) :]).astype(np.float32)))
    return parts


def caps(drop: Drop, x: float, y: float, radius: float) -> list[tuple[float, ...]]:
    """Rows of the drop's body and its lobes."""
    contact = math.radians(drop.contact)
    rows: list[tuple[float, ...]] = [(x, y, radius, drop.stretch, drop.angle, contact)]
    for lobe in drop.lobes:
        rows.append((x + lobe.x * radius, y + lobe.y * radius, radius * lobe.radius, 1.0, 0.0, contact))
    return rows


def trail(drop: Drop, slide: Slide, way: float, time: float) -> Blobs:
    """The droplets left along the `way` so far, smaller as they dry."""
    number = np.arange(int(way / (TRAIL_GAP * drop.radius)))
    spot = (number + 0.5 * ((number * 0.7548777) % 1)) * (TRAIL_GAP * drop.radius)
    age = time - reached(slide, spot)
    jitter = (number * 0.6180340 + 0.3 * drop.x) % 1
    wet = np.sqrt(np.clip(1 - age / slide.drying, 0, 1)) * (age > 0)
    radius = drop.radius * (0.14 + 0.22 * jitter**2) * wet
    x = drop.x + swayed(slide, spot) + (jitter - 0.5) * 0.5 * drop.radius
    ones = np.ones(len(number))
    contact = ones * math.radians(drop.contact)
    return blobs(np.stack([x, drop.y + spot, radius, ones * 1.15, 0 * ones, contact], axis=1))


def renewed(params: Raindrops, wiper: Wiper, wipe: int, size: tuple[int, int], time: float) -> Blobs:
    """Drops like the first ones that came at other places, on a picture of that (height, width), after wipe
    number `wipe`, where the next one has not yet taken them. They rest."""
    height, width = size
    new, whose = at_origin(params)
    count = len(params.drops) + (params.mist.count if params.mist else 0)
    rng = np.random.default_rng([wiper.seed, wipe])
    x, y, share = rng.uniform(0, width, count), rng.uniform(0, height, count), rng.uniform(0, 1, count)
    back = wiper.first + wipe * wiper.period + 2 * wiper.sweep
    born = back + share * max(wiper.period - 2 * wiper.sweep, 0.0)
    swept = np.isfinite(wiped(wiper, x, y, np.full(count, wipe)))
    there = swept & (born <= time) & (time < wiped(wiper, x, y, np.full(count, wipe + 1)))
    moved_x, moved_y = (column[whose].astype(np.float32) for column in (x, y))
    return replace(new, x=new.x + moved_x, y=new.y + moved_y).pick(there[whose])


def at_origin(params: Raindrops) -> tuple[Blobs, npt.NDArray[np.int_]]:
    """(all caps as if their drops stood at 0, 0; the number of the drop that each cap belongs to)."""
    parts = [blobs([row for drop in params.drops for row in caps(drop, 0, 0, drop.radius)])]
    whose = np.repeat(np.arange(len(params.drops)), [1 + len(drop.lobes) for drop in params.drops])
    if params.mist is not None:
        small = mist_blobs(params.mist, 0, 0)
        parts.append(replace(small, x=np.zeros_like(small.x), y=np.zeros_like(small.y)))
        whose = np.concatenate([whose, len(params.drops) + np.arange(params.mist.count)])
    return joined(parts), np.asarray(whose, np.int_)


def drops_at(params: Raindrops, height: int, width: int, time: float) -> Blobs:
    """Every cap of water on the glass at `time` seconds."""
    small = None if params.mist is None else mist_blobs(params.mist, height, width)
    parts = moved(glass(params.drops, small, params.wiper, time), small, time)
    if params.wiper is not None:
        begun = wipes(params.wiper, time)
        parts += [
            renewed(params, params.wiper, wipe, (height, width), time)
            for wipe in range(max(0, begun - 2), begun)
        ]
    return joined(parts)
