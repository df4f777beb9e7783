"""Of several processes that want one plan, one builds it and the others wait, whatever becomes of it."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from slow_builder import KEY, SlowBuilder

from derain.engines.errors import DerainError
from derain.engines.plans import locking
from derain.engines.plans.locking import alone
from derain.engines.plans.obtain import obtain
from derain.engines.plans.store import Store, StoredPlan

BUILD = """
import sys
from pathlib import Path
from slow_builder import KEY, SlowBuilder
from derain.engines.plans.obtain import obtain

def build():
    sys.stdin.readline()
    return SlowBuilder(seconds=0.3)()

stored = obtain(KEY, build, cache_dir=Path(sys.argv[1]), tell=lambda line: print(line, flush=True))
print(len(stored.data), "bytes", flush=True)
"""
BUILDING = f"building the plan {KEY}\n"


@contextmanager
def building(place: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has begun to build the plan; it goes on when it gets a line."""
    paths = f"import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
    command = [sys.executable, "-c", paths + BUILD, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == BUILDING
            yield process
        finally:
            process.kill()


def test_one_process_builds_and_the_other_waits(tmp_path: Path) -> None:
    builder, told = SlowBuilder(b"never built"), list[str]()
    with building(tmp_path) as other:

        def tell(line: str) -> None:
            told.append(line)
            assert other.stdin is not None
            print(file=other.stdin, flush=True)

        stored = obtain(KEY, builder, cache_dir=tmp_path, tell=tell)
        assert other.communicate()[0] == "400 bytes\n"
    assert builder.builds == 0
    assert stored.data == SlowBuilder().data
    (line,) = told
    assert line.startswith(f"process {other.pid} on ")
    assert line.endswith(f" is building the plan {KEY}; waiting for it")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_lock_whose_owner_died_is_taken_over(tmp_path: Path) -> None:
    builder, told = SlowBuilder(), list[str]()
    with building(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    stored = obtain(KEY, builder, cache_dir=tmp_path, tell=told.append)
    assert (builder.builds, stored.data) == (1, builder.data)
    assert told[0].startswith(f"process {other.pid} on ")
    assert told[0].endswith(f" ended while it was building the plan {KEY}; going on in its place")
    assert told[1:] == [BUILDING.strip()]
    told.clear()
    obtain(KEY, builder, cache_dir=tmp_path, tell=told.append)
    assert told == [], "it is told once"


def test_who_waits_builds_where_the_other_failed(tmp_path: Path) -> None:
    began, go_on = threading.Event(), threading.Event()
    failures: list[str] = []

    def fails() -> SlowBuilder:
        began.set()
        go_on.wait(60)
        raise DerainError("the card is gone")

    def first() -> None:
        try:
            obtain(KEY, fails, cache_dir=tmp_path, tell=lambda line: None)  # type: ignore[arg-type]
        except DerainError as error:
            failures.append(str(error))

    def tell(line: str) -> None:
        told.append(line)
        go_on.set()

    told: list[str] = []
    builder = SlowBuilder()
    thread = threading.Thread(target=first)
    thread.start()
    assert began.wait(60)
    stored = obtain(KEY, builder, cache_dir=tmp_path, tell=tell)
    thread.join()
    assert failures == ["the card is gone"]
    assert (builder.builds, stored.data) == (1, builder.data)
    assert ["waiting" in told[0], told[1]] == [True, BUILDING.strip()]


def test_a_file_system_without_locks_does_not_stop_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(file: int) -> bool:
        raise OSError("no locks available")

    monkeypatch.setattr(locking, "_try", unknown)
    builder = SlowBuilder()
    assert obtain(KEY, builder, cache_dir=tmp_path, tell=lambda line: None).path is not None
    assert builder.builds == 1


def test_a_lock_that_was_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    """Or who made it again would hold another lock than who waits for the removed one."""
    path, told = tmp_path / "lock", list[str]()
    entered = threading.Event()

    def wait() -> None:
        with alone(path, told.append, told.append):
            assert locking.held(path)
            entered.set()

    with alone(path, told.append, told.append):
        thread = threading.Thread(target=wait)
        thread.start()
        while not told:
            assert thread.is_alive()
        path.unlink()
    thread.join(60)
    assert entered.is_set()
    assert path.exists()
    assert not locking.held(path)


def test_sweeping_keeps_the_locks_of_those_who_build(tmp_path: Path) -> None:
    obtain(KEY, SlowBuilder(), cache_dir=tmp_path, tell=lambda line: None)
    store = Store.open(tmp_path)
    lock = store.lock_of(KEY)
    with alone(lock, print, print):
        store.sweep()
        assert lock.exists()
    store.sweep()
    assert not lock.exists()
    assert isinstance(store.find(KEY), StoredPlan)
