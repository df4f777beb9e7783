"""How long contestants take for a frame, in turns, so that a noisy machine is noisy to all of them."""

import math
import time
from collections.abc import Sequence

from derain.benchmarks.evaluation.contest import Contestant
from derain.train.evaluate import RGB


def seconds_in_turns(
    contestants: Sequence[Contestant], frame: RGB, rounds: int, slow: float = math.inf
) -> dict[str, list[float]]:
    """By label, seconds for `frame` in each of `rounds`, after one that is not counted; a contestant that
    takes `slow` seconds or more is timed once."""
    for one in contestants:
        one.restore(frame)
    times: dict[str, list[float]] = {one.label: [] for one in contestants}
    for _ in range(rounds):
        for one in contestants:
            taken = times[one.label]
            if not taken or taken[0] < slow:
                began = time.perf_counter()
                one.restore(frame)
                taken.append(time.perf_counter() - began)
    return times
