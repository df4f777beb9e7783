"""What is called divergence and a lost game, and what is not."""

import math
from collections.abc import Iterable

import pytest

from derain.train.steps import Figures
from derain.train.watch import ALIKE_SENTENCE, DIVERGED, GAME_WINDOW, PATIENCE, WINDOW, WON_SENTENCE, Watch

RAINY = 0.01
"""The error of rainy pictures, 20 dB."""


def alone(error: float, rainy: float = RAINY) -> Figures:
    return Figures({"l1": 1.0}, {}, error, rainy)


def game(accuracy: float = 0.75, spread: float = 0.9, error: float = 0.005) -> Figures:
    return Figures({"l1": 1.0}, {"adversarial": 1.0}, error, RAINY, accuracy, spread)


def diverges_after(watch: Watch, errors: Iterable[float]) -> int | None:
    """The number of the first step at which a network alone is said to diverge."""
    for number, error in enumerate(errors, 1):
        watch.see(alone(error))
        if watch.diverged:
            return number
    return None


def told(watch: Watch, figures: Iterable[Figures]) -> list[tuple[int, str]]:
    """Number of the step and sentence of each warning."""
    return [(number, said) for number, one in enumerate(figures, 1) if (said := watch.see(one))]


def test_a_learned_network_that_is_lost_is_seen_within_a_window() -> None:
    watch = Watch()
    assert diverges_after(watch, [0.002] * 200) is None
    assert diverges_after(watch, [0.5] * 100) == WINDOW // 2


@pytest.mark.parametrize("first", [0.01, 0.25, 50.0])
def test_a_rate_that_ruins_the_first_steps_is_seen(first: float) -> None:
    """Whatever the first error: before any window is full nothing good was learned that could be compared."""
    growing = [first * 1.3**step for step in range(60)]
    assert diverges_after(Watch(), growing) == WINDOW


def test_large_early_errors_that_fall_are_learning() -> None:
    """A network that begins black or far out of range is no divergence; nor is one that never gets good."""
    for first in (0.25, 30.0, 1e4):
        falling = [0.005 + first * math.exp(-step / 100) for step in range(1500)]
        assert diverges_after(Watch(), falling) is None
    assert diverges_after(Watch(), [0.12] * 2000) is None


def test_single_bad_batches_are_no_divergence() -> None:
    errors = [0.002 if step % 3 else 2.0 for step in range(1000)]
    assert diverges_after(Watch(), errors) is None


def test_harder_rain_is_no_divergence() -> None:
    """The error grows thirtyfold because the rain does; what is no worse than the rain has not diverged."""
    watch = Watch()
    for rainy, error in ((0.001, 0.0003), (0.03, 0.009), (0.03, 0.029)):
        for _ in range(100):
            watch.see(alone(error, rainy))
            assert not watch.diverged


def test_dry_batches_are_no_divergence() -> None:
    watch = Watch()
    for step in range(500):
        watch.see(alone(2e-4 if step < 250 else 8e-4, rainy=0.0))
        assert not watch.diverged


def test_the_psnr_of_a_game_may_swing_but_not_stay_lost() -> None:
    """Down from 24 dB to 9 dB, as the paper's runs were, and back."""
    watch = Watch()
    for error in (0.004, 0.13, 0.004, 0.13, 0.004):
        for _ in range(PATIENCE // 2):
            watch.see(game(error=error))
            assert not watch.diverged
    lost = [watch.see(game(error=0.13)) or watch.diverged for _ in range(PATIENCE + WINDOW)]
    assert lost.index(True) + 1 == PATIENCE + WINDOW // 2 - 1


def test_a_discriminator_that_wins_is_told_at_once_and_then_seldom() -> None:
    won = [game(accuracy=1.0)] * (GAME_WINDOW + 2100)
    assert told(Watch(), won) == [(GAME_WINDOW + later, WON_SENTENCE) for later in (0, 1000, 2000)]


def test_a_discriminator_ahead_for_a_while_is_no_warning() -> None:
    watch = Watch()
    assert not told(watch, [game(accuracy=1.0)] * (GAME_WINDOW - 10) + [game(accuracy=0.0)] * 500)
    assert watch.counts == {"d_won": GAME_WINDOW - 10, "alike": 0}


def test_a_warning_that_comes_and_goes_is_told_once_in_a_thousand_steps() -> None:
    """The 1,248th is the first after 1,000 whose window has no more than two of the lost batches."""
    lost, even = [game(accuracy=1.0)] * GAME_WINDOW, [game(accuracy=0.0)] * 10
    assert [number for number, _ in told(Watch(), (lost + even) * 7)] == [200, 1248]


def test_a_generator_that_restores_all_alike_is_told() -> None:
    watch = Watch()
    assert told(watch, [game(spread=0.02)] * 300) == [(GAME_WINDOW, ALIKE_SENTENCE)]
    assert watch.counts == {"d_won": 0, "alike": 300}


def test_counters_go_on_and_belong_to_games_alone() -> None:
    going_on = Watch(won=7, alike=3)
    going_on.see(game(accuracy=1.0, spread=0.01))
    assert going_on.counts == {"d_won": 8, "alike": 4}
    assert not told(Watch(), [alone(0.01)] * 300)
    single = Watch()
    single.see(alone(0.01))
    assert single.counts == {}


def test_the_bar_is_ten_decibels_over_the_least() -> None:
    learned = [0.004] * 200
    for factor, seen in ((0.9, False), (1.1, True)):
        watch = Watch()
        diverges_after(watch, learned)
        assert (diverges_after(watch, [0.004 * DIVERGED * factor] * 100) is not None) == seen
