"""What is counted of a camera, and the text that Prometheus reads."""

import re

import pytest
from live_fakes import Clock

from derain.pipeline.live.exposition import escaped, text_of
from derain.pipeline.live.figures import WINDOW, Meter, Passage, spans
from derain.pipeline.live.seam import BOUNDS, CameraFigures, Figures, Spans, State


def a_minute(meter: Meter, clock: Clock, every: float = 0.04, latency: float = 0.05) -> None:
    for number in range(round(60 / every)):
        clock.pass_(every)
        meter.given()
        if number % 2:
            meter.dropped()
        else:
            now = clock()
            meter.handed(Passage(now - latency, now - latency / 2, now - latency / 5, now))


def test_rates_and_percentiles_are_those_of_the_last_seconds() -> None:
    clock = Clock()
    meter = Meter(0.08, clock)
    a_minute(meter, clock)
    counted = meter.counted()
    assert counted.camera_fps == pytest.approx(25, abs=0.3)
    assert counted.restored_fps == pytest.approx(12.5, abs=0.3)
    assert (counted.restored, counted.dropped, counted.late) == (750, 750, 0)
    assert counted.latency.p50 == counted.latency.p99 == pytest.approx(0.05)
    assert counted.stages["wait"].p50 == pytest.approx(0.025)
    assert counted.stages["restore"].p50 == pytest.approx(0.015)
    clock.pass_(2 * WINDOW)
    silent = meter.counted()
    assert silent.camera_fps == silent.restored_fps == 0
    assert silent.latency == Spans()
    assert silent.restored == 750


def test_what_is_late_and_what_passed_are_counted_apart() -> None:
    clock = Clock()
    meter = Meter(0.08, clock)
    for latency, passed in ((0.05, False), (0.081, False), (0.2, True)):
        meter.handed(Passage(clock() - latency, clock(), clock(), clock()), passed)
    counted = meter.counted()
    assert (counted.restored, counted.late, counted.passed) == (2, 1, 1)


def test_memory_does_not_grow() -> None:
    clock = Clock()
    meter = Meter(None, clock)
    a_minute(meter, clock, every=0.005)
    sizes = {name: len(value) for name, value in vars(meter).items() if hasattr(value, "__len__")}
    assert max(sizes.values()) <= 1024
    assert meter.counted().restored == 6000


def test_percentiles() -> None:
    assert spans(number / 100 for number in range(100)) == Spans(100, 0.5, 0.95, 0.99)


def figures() -> Figures:
    clock = Clock()
    meter = Meter(0.08, clock)
    a_minute(meter, clock)
    counted = meter.counted()
    camera = CameraFigures(
        name='the "front"\n\\ door',
        shown="rtsp://***@host/path",
        state=State.LIVE,
        said="",
        restored=counted.restored,
        dropped=counted.dropped,
        histograms=counted.histograms,
        rain=0.25,
    )
    return Figures((camera,), "realtime", "openvino", "fp32", 60.0, 1 << 20)


def test_prometheus_reads_it() -> None:
    text = text_of(figures())
    camera = r'camera="the \"front\"\n\\ door"'
    assert f"derain_live_restored_total{{{camera}}} 750\n" in text
    assert f"derain_live_dropped_total{{{camera}}} 750\n" in text
    assert f"derain_live_camera_rain{{{camera}}} 0.25\n" in text
    assert "derain_live_memory_bytes 1048576\n" in text
    assert 'derain_live_engine{model="realtime",backend="openvino",precision="fp32"} 1\n' in text
    assert "rtsp" not in text
    line = re.compile(r'(#.*|[a-z_]+(\{([a-z]+="([^"\\\n]|\\.)*",?)+\})? -?[0-9.e+-]+)')
    assert all(line.fullmatch(one) for one in text.splitlines())


def test_a_histogram_has_every_bucket_and_grows() -> None:
    text = text_of(figures())
    found = re.findall(r'_latency_seconds_bucket\{.*stage="latency",le="(.*)"\} (\d+)', text)
    assert [bound for bound, _ in found] == [*map(str, BOUNDS), "+Inf"]
    counts = [int(count) for _, count in found]
    assert counts == sorted(counts)
    assert counts[BOUNDS.index(0.04)] == 0 and counts[BOUNDS.index(0.06)] == counts[-1] == 750
    assert re.search(r'_latency_seconds_sum\{.*stage="latency"\} 37\.5\n', text)


def test_what_a_camera_does_not_tell_is_left_out() -> None:
    assert "camera_drops{" not in text_of(figures())


def test_a_value_is_escaped() -> None:
    assert escaped('a\\b"c\nd') == 'a\\\\b\\"c\\nd'
