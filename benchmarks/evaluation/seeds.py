"""Networks of one recipe that differ by their seed alone: their mean, and how far they lie apart."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from derain.benchmarks.evaluation.contest import Contestant

Row = dict[str, Any]
Fold = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Seeds:
    """`members`: indices of contestants, one for each of `seeds`. `text`: what they are called together."""

    members: tuple[int, ...]
    seeds: tuple[int, ...]
    text: str

    @property
    def mean(self) -> str:
        """What the line of their mean is called."""
        return f"mean of {self.text}"

    @property
    def deviation(self) -> str:
        """What the line of their standard deviation is called."""
        return f"deviation of {self.text}"


def seeds_among(contestants: Sequence[Contestant]) -> list[Seeds]:
    """Groups that the cards tell to be of one recipe with its steps and origin, of one version, the same data
    and several seeds, on one backend in one precision. Of two with the same seed the first counts."""
    found: dict[Hashable, dict[int, int]] = {}
    for index, contestant in enumerate(contestants):
        card = contestant.card
        if card is not None and card.recipe and card.seed is not None:
            alike = card.recipe, card.version, card.data, contestant.backend, contestant.precision
            found.setdefault(alike, {}).setdefault(card.seed, index)
    several = [by_seed for by_seed in found.values() if len(by_seed) > 1]
    return [told(by_seed, contestants, alone=len(several) == 1) for by_seed in several]


def told(by_seed: dict[int, int], contestants: Sequence[Contestant], alone: bool) -> Seeds:
    """With a name that says which they are, where there are others."""
    labels = ", ".join(contestants[index].label for index in by_seed.values())
    text = f"{len(by_seed)} seeds" + ("" if alone else f" ({labels})")
    return Seeds(tuple(by_seed.values()), tuple(by_seed), text)


def together(groups: Sequence[Seeds], models: Sequence[Row]) -> list[Row]:
    """For each group the means of its members' rows, a set's or a picture's; under "deviation" theirs."""
    return [one_row(group, [models[index] for index in group.members]) for group in groups]


def one_row(group: Seeds, rows: Sequence[Row]) -> Row:
    row = {
        "model": group.mean,
        "seeds": list(group.seeds),
        **folded(rows, mean),
        "deviation": {"model": group.deviation, **folded(rows, deviation)},
    }
    harms = [harm for model in rows if (harm := model.get("no_harm"))]
    return row | {"no_harm": clean_kept(harms)} if harms else row


def folded(rows: Sequence[Row], fold: Fold) -> Row:
    """Each figure of several models made one."""
    first = rows[0]
    return {
        "restored": {name: fold([row["restored"][name] for row in rows]) for name in first["restored"]},
        "gain_y": fold([row["gain_y"] for row in rows]),
        "areas": {name: fold([row["areas"][name] for row in rows]) for name in first["areas"]},
        "flicker": fold([row["flicker"] for row in rows]),
    }


def clean_kept(harms: Sequence[Row]) -> Row:
    """The mean of what they did to clean pictures, and the worst that any of them did."""
    worst = min(harms, key=lambda harm: float(harm["worst_psnr_y"]))
    return worst | {"psnr_y": mean([harm["psnr_y"] for harm in harms])}


def mean(values: Sequence[float]) -> float:
    """Infinite where one was; nan of what there is none of."""
    return sum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample (n - 1), 0 of equal ones; nan where one is infinite."""
    if all(value == values[0] for value in values):
        return 0.0
    middle = mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))
