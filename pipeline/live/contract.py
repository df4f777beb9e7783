"""The latency contract: what is given up so that pictures come in time, and when it is taken back.

What may be given up stands in a row, a ladder of steps, for each camera. Down it goes at once where frames
come late, as far as the frames so far make it likely to be enough; up it goes one step at a time, after calm
seconds, and where that was too much, it waits longer the next time. The last step is the picture as it came.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

WINDOW = 0.5
"""Seconds of frames that are looked at, and LEAST frames however long they took."""
LEAST = 2
OFTEN = 4
"""One late frame in so many is too often."""
AT_ONCE = 0.25
"""A frame that took longer than this, in seconds, and than twice the budget, is reason enough alone."""
PATIENCE = 0.6
"""Seconds without a frame in time after which only the last step is left."""
AIM = 0.9
"""The share of the budget that is aimed at on the way down, and planned with on the way up."""
CALM = 0.75
"""The share of the budget below which all frames of the last seconds must be before it goes up."""
TRIAL = 3.0
"""Calm seconds before a step up, the first time, and how long that must hold to count as good."""
APART = 1.0
"""Seconds between the steps up of two cameras: what one takes, the other does not have."""
LONGEST = 60.0
"""Calm seconds before a step up after many in vain."""
UNLIKELY = 4
"""Where a step up seems too much it is tried all the same, after so many times the calm seconds."""
BUSY = 2.0
"""Seconds of which it is counted how long each camera kept the engine busy."""

SCALES = ((2 / 3, "2/3"), (1 / 2, "1/2"), (1 / 3, "1/3"))
RATES = (2, 3)
WAITS_LESS = {1: 1.0, 2: 0.75, 3: 0.6}
"""How much longer or shorter a frame takes in all where only one in so many is restored: others wait less."""


@dataclass(frozen=True)
class Step:
    """What is left of the work: the network (its place in the row, 0 for the one asked for), the scale it
    works at, one frame in `every`; nothing of it where `passes`. `cost`: seconds a frame beside those of the
    first step, as far as can be said beforehand. `words`: what was given up, "" for nothing."""

    model: int = 0
    scale: float = 1.0
    every: int = 1
    passes: bool = False
    cost: float = 1.0
    words: str = ""


@dataclass(frozen=True)
class Move:
    """A camera goes from one step to another. `down`: more is given up. `reason`: why, in words."""

    camera: str
    step: Step
    down: bool
    reason: str

    def line(self) -> str:
        """One line for people."""
        return f"{self.camera}: {self.step.words or 'nothing is given up any more'} ({self.reason})"


def ladder(models: Sequence[str] = (), costs: Sequence[float] = ()) -> tuple[Step, ...]:
    """The steps in their order. `models`: names of smaller networks, the largest first; `costs`: what each
    takes beside the one asked for."""
    steps = [Step()]
    for number, (name, cost) in enumerate(zip(models, costs, strict=True), 1):
        steps.append(Step(model=number, cost=cost, words=f"the smaller network {name}"))
    small = steps[-1]
    before = f"{small.words}, " if small.words else ""
    for scale, words in SCALES:
        given_up = f"{before}restored at {words} of the size"
        steps.append(Step(small.model, scale, cost=small.cost * scale**2, words=given_up))
    slow = steps[-1]
    for every in RATES:
        words = f"{slow.words}, one frame in {every}"
        steps.append(Step(slow.model, slow.scale, every, cost=slow.cost * WAITS_LESS[every], words=words))
    return (*steps, Step(slow.model, slow.scale, passes=True, cost=0.0, words="shown as it comes"))


@dataclass
class _Account:
    """Of one camera. `frames`: (when, latency) on this step; `busy`: (when, seconds of the engine)."""

    level: int = 0
    frames: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=128))
    busy: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=128))
    since: float = 0.0
    late_since: float | None = None
    rose: float | None = None
    wait: float = TRIAL

    def load(self, now: float) -> float:
        """Seconds that it kept the engine busy lately."""
        return sum(seconds for when, seconds in self.busy if when > now - BUSY)

    def recent(self, now: float) -> list[float]:
        """The latencies that are looked at."""
        kept = list(self.frames)
        lately = sum(when > now - WINDOW for when, _ in kept)
        return [latency for _, latency in kept[-max(lately, LEAST) :]]


class Contract:
    """Keeps `budget` seconds from arrival to hand-over for `cameras`, by a ladder. One thread calls it.

    Times are those of any clock that the caller keeps to.
    """

    def __init__(self, budget: float, steps: Sequence[Step], cameras: Sequence[str], now: float) -> None:
        self.budget, self._steps = budget, tuple(steps)
        self._accounts = {name: _Account(since=now) for name in cameras}
        self._rose = now

    def step(self, camera: str) -> Step:
        """What this camera is on."""
        return self._steps[self._accounts[camera].level]

    def saw(self, camera: str, now: float, latency: float, busy: float) -> None:
        """A frame was handed over `now`, `latency` seconds after it had arrived, of which the engine worked
        `busy`."""
        account = self._accounts[camera]
        account.frames.append((now, latency))
        account.busy.append((now, busy))
        if latency <= self.budget:
            account.late_since = None
        elif account.late_since is None:
            account.late_since = now

    def decide(self, now: float) -> list[Move]:
        """What is to change now; down before up, and not both at a time."""
        late = [name for name in self._accounts if self._is_over(self._accounts[name], now)]
        if not late:
            return self._up(now)
        return [self._down(name, now, name in late) for name in self._chosen(late, now)]

    def _is_over(self, account: _Account, now: float) -> bool:
        recent = account.recent(now)
        late = [latency for latency in recent if latency > self.budget]
        if any(latency > max(2 * self.budget, AT_ONCE) for latency in late):
            return True
        return len(late) >= LEAST and len(late) * OFTEN >= len(recent)

    def _chosen(self, late: Sequence[str], now: float) -> list[str]:
        """Which cameras are to give up something for the late ones: whoever has only just taken something
        back; else those late ones that keep the engine busy, and whichever does most."""
        if rising := [name for name in self._accounts if self._is_rising(name, now)]:
            return rising
        last = len(self._steps) - 1
        able = {n: account.load(now) for n, account in self._accounts.items() if account.level < last}
        if not able:
            return []
        most = max(able, key=lambda name: able[name])
        heavy = [name for name in late if name in able and able[name] >= able[most] / 2]
        hopeless = [name for name in late if name in able and self._is_hopeless(name, now)]
        return list(dict.fromkeys([*heavy, *hopeless, most]))

    def _is_hopeless(self, name: str, now: float) -> bool:
        since = self._accounts[name].late_since
        return since is not None and now - since > PATIENCE

    def _is_rising(self, name: str, now: float) -> bool:
        rose = self._accounts[name].rose
        return rose is not None and now - rose < TRIAL

    def _down(self, name: str, now: float, late: bool) -> Move:
        account, last = self._accounts[name], len(self._steps) - 1
        recent = account.recent(now)
        worst = max(recent, default=self.budget)
        target = last if self._is_hopeless(name, now) else self._enough(account.level, worst)
        if self._is_rising(name, now):
            account.wait = min(LONGEST, account.wait * 2)
            target = account.level + 1
        reason = (
            f"a frame took {worst * 1e3:.0f} ms of {self.budget * 1e3:.0f}" if late else "others wait for it"
        )
        return self._move(name, target, now, down=True, reason=reason)

    def _enough(self, level: int, latency: float) -> int:
        """The first level below that should be in time."""
        here = self._steps[level].cost
        for below in range(level + 1, len(self._steps)):
            if latency * self._steps[below].cost / here <= AIM * self.budget:
                return below
        return len(self._steps) - 1

    def _up(self, now: float) -> list[Move]:
        """One step, of the camera that gave up most, once that is likely to be in time."""
        if now - self._rose < APART:
            return []
        lowered = {name: account for name, account in self._accounts.items() if account.level}
        for account in lowered.values():
            if account.rose is not None and now - account.rose >= TRIAL:
                account.rose, account.wait = None, TRIAL
        for name in sorted(lowered, key=lambda name: -lowered[name].level):
            if self._may_rise(lowered[name], now):
                calm = now - lowered[name].since
                reason = f"in time for {calm:.0f} s"
                return [self._move(name, lowered[name].level - 1, now, down=False, reason=reason)]
        return []

    def _may_rise(self, account: _Account, now: float) -> bool:
        calm = now - account.since
        recent = [latency for when, latency in account.frames if when > now - account.wait]
        if calm < account.wait or not recent or max(recent) > CALM * self.budget:
            return False
        here, above = self._steps[account.level], self._steps[account.level - 1]
        likely = not here.passes and max(recent) * above.cost / here.cost <= AIM * self.budget
        return likely or calm >= account.wait * (1 if here.passes else UNLIKELY)

    def _move(self, name: str, level: int, now: float, down: bool, reason: str) -> Move:
        account = self._accounts[name]
        account.level, account.since = level, now
        account.rose = None if down else now
        self._rose = self._rose if down else now
        account.frames.clear()
        return Move(name, self._steps[level], down, reason)
