import time

import numpy as np
import pytest

from derain.pipeline.metrics import Histogram, Metrics


@pytest.mark.parametrize("percent", [50, 99])
def test_percentiles_are_within_two_percent_of_the_exact_ones(percent: float) -> None:
    seconds = np.random.default_rng(1).lognormal(-4, 1, 5000)
    histogram = Histogram()
    for value in seconds:
        histogram.record(float(value))
    exact = float(np.percentile(seconds, percent))
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.02)
    assert histogram.count == 5000
    assert histogram.total == pytest.approx(seconds.sum())


def test_an_empty_histogram_says_zero() -> None:
    assert Histogram().percentile(99) == 0.0


@pytest.mark.parametrize("seconds", [0.0, -1e-9, 1e9])
def test_durations_out_of_range_are_counted_too(seconds: float) -> None:
    histogram = Histogram()
    histogram.record(seconds)
    assert histogram.count == 1
    assert histogram.percentile(50) > 0


def test_a_block_that_raises_is_not_counted() -> None:
    histogram = Histogram()
    with pytest.raises(ValueError, match="no"), histogram.measure():
        raise ValueError("no")
    assert histogram.count == 0


def test_eta_is_what_is_left_at_the_rate_of_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    meters = Metrics(expected=100)
    for _ in range(20):
        clock[0] += 0.5
        meters.written(clock[0])
    snapshot = meters.snapshot(held=3)
    assert snapshot.frames == 20
    assert snapshot.held == 3
    assert snapshot.fps == pytest.approx(2)
    assert snapshot.eta == pytest.approx(40)


def test_eta_is_unknown_where_the_end_is() -> None:
    assert Metrics().snapshot().eta is None
    assert Metrics(expected=5).snapshot().eta is None


def test_more_frames_than_expected_leave_no_negative_eta() -> None:
    meters = Metrics(expected=1)
    meters.written(0.0)
    meters.written(0.0)
    assert meters.snapshot().eta == 0


def test_the_rate_follows_a_run_that_slows_down(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    meters = Metrics()
    for step in (0.1, 10.0):
        for _ in range(100):
            clock[0] += step
            meters.written(clock[0])
            snapshot = meters.snapshot()
    assert snapshot.fps == pytest.approx(0.1)
