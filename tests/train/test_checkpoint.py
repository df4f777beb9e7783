"""Checkpoints that are broken, strange or can't be written: a sentence, and the one before is intact."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import here, photographs, same, tensors, tiny
from torch import nn

from derain.engines.errors import DerainError, UsageError
from derain.train.checkpoint import DIGEST, State, averaged, begin_with, digest, read, restore, save
from derain.train.optimisers import optimiser_of
from derain.train.recipe import Recipe
from derain.train.trainer import train

RECIPE = tiny()


def state_of(network: nn.Module) -> State:
    """A state with moments."""
    state = State(network, averaged(network), optimiser_of(network, RECIPE.train), step=7)
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    state.optimiser.step()
    return state


def layer(channels: int = 3) -> nn.Module:
    torch.manual_seed(channels)
    return nn.Conv2d(channels, channels, 3)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A whole checkpoint."""
    save(state_of(layer()), RECIPE, tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def test_what_was_saved_is_restored(written: Path) -> None:
    expected, got = state_of(layer()), state_of(layer(3))
    nn.init.zeros_(next(got.network.parameters()))
    restore(got, RECIPE, written)
    assert got.step == 7
    for part, content in expected.parts().items():
        assert same(tensors(content.state_dict()), tensors(got.parts()[part].state_dict()))


def sentence(path: Path) -> str:
    """What reading a checkpoint is refused with; its name is in it, and it is one line."""
    with pytest.raises(UsageError) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert error.value.exit_code == 2
    return str(error.value)


def test_a_truncated_one_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    for tenth in range(10):
        written.write_bytes(whole[: len(whole) * tenth // 10])
        assert "is not a checkpoint of derain train" in (told := sentence(written)) or "cut off" in told


def test_changed_bytes_are_found_or_mean_nothing(written: Path) -> None:
    """Some lie in the file's padding: what is read is then what was written."""
    whole, expected = written.read_bytes(), digest(read(written))
    refused = 0
    for place in range(0, len(whole), 41):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        written.write_bytes(changed)
        try:
            assert digest(read(written)) == expected
        except UsageError as error:
            refused += 1
            assert str(written) in str(error)
    assert refused > len(whole) / 41 / 10


class Code:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def test_code_in_it_is_not_run(tmp_path: Path) -> None:
    torch.save({"network": Code(f"touch {tmp_path / 'run'}")}, tmp_path / "checkpoint.pt")
    assert "is not a checkpoint" in sentence(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "run").exists()


def test_other_content_is_refused(written: Path, tmp_path: Path) -> None:
    """That of an earlier derain, without a sha256; with another; and a state dict."""
    content = torch.load(written, weights_only=True)
    earlier = {key: value for key, value in content.items() if key not in (DIGEST, "judge", "given")}
    torch.save(earlier, written)
    assert "is not a checkpoint of this derain train, which has recipe, step, origin" in sentence(written)
    content["network"]["weight"][0, 0, 0, 0] += 1
    torch.save(content, written)
    assert "is damaged or was changed" in sentence(written)
    torch.save(layer().state_dict(), written)
    assert "is not a checkpoint" in sentence(written)


def test_places_without_a_file_are_told(
    tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no checkpoint at" in sentence(tmp_path)
    assert "no checkpoint at" in sentence(tmp_path / "none.pt")

    def locked(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", locked)
    assert "can't be read: Permission denied" in sentence(written)


def test_one_that_was_written_before_a_key_was_known_goes_on_with_its_default(written: Path) -> None:
    content = read(written)
    del content["recipe"]["data"]["frames"]
    torch.save({**content, DIGEST: digest(content)}, written)
    state = state_of(layer())
    restore(state, RECIPE, written)
    assert state.step == 7
    other = replace(RECIPE, data=replace(RECIPE.data, frames=4))
    with pytest.raises(UsageError, match=r"differs in data"):
        restore(state, other, written)


def test_another_recipe_network_or_given_file_is_refused(written: Path) -> None:
    with pytest.raises(UsageError, match=r"made by another recipe \(differs in seed\); use a new --output"):
        restore(state_of(layer()), replace(RECIPE, seed=2), written)
    with pytest.raises(UsageError, match="does not fit the networks of this derain, though its recipe does"):
        restore(state_of(layer(4)), RECIPE, written)
    with pytest.raises(UsageError, match="are of another network, realtime-s: "):
        begin_with(state_of(layer(4)), written)
    with pytest.raises(UsageError, match="made with another --vgg16, or without; give the same one"):
        restore(replace(state_of(layer()), given={"vgg16": "0" * 64}), RECIPE, written)
    save(replace(state_of(layer()), given={"processes": "2"}), RECIPE, written)
    with pytest.raises(UsageError, match="made by 2 processes together, not 1, which would see other"):
        restore(replace(state_of(layer()), given={"processes": "1"}), RECIPE, written)


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may become larger, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_one_before(written: Path) -> None:
    before = written.read_bytes()
    later = replace(state_of(layer()), step=8)
    with room(len(before) // 2), pytest.raises(DerainError) as error:
        save(later, RECIPE, written)
    assert f"the checkpoint {written} can't be written at step 8: " in str(error.value)
    assert str(error.value).endswith("make room and go on with --resume")
    assert error.value.exit_code == 1
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["checkpoint.pt"]


def test_an_interruption_leaves_no_part_of_one(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written.read_bytes()

    def half(content: object, path: Path) -> None:
        path.write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save(state_of(layer()), RECIPE, written)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["checkpoint.pt"]


@pytest.fixture
def recipe() -> Recipe:
    return replace(RECIPE, train=replace(RECIPE.train, steps=4))


def test_a_run_on_a_full_disk_ends_with_a_sentence_and_goes_on(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derain.train.run_folder.chart", lambda rows, title: b"")
    data, run = photographs(tmp_path / "data"), tmp_path / "run"
    checkpoint = train(recipe, here(data, run, time_limit=0.0))
    before = checkpoint.read_bytes()
    with room(len(before) // 2), pytest.raises(DerainError, match=r"can't be written at step 2: .*make room"):
        train(recipe, here(data, run, resume=True, checkpoint_every=1))
    assert checkpoint.read_bytes() == before
    assert not list(run.glob(".*")), "no part of another"
    assert read(train(recipe, here(data, run, resume=True)))["step"] == 4


@pytest.mark.parametrize("name", ["curves.csv", "recipe.toml", "samples.png"])
def test_any_other_file_that_can_not_be_written_is_told(
    name: str, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derain.train.run_folder.chart", lambda rows, title: b"")
    data, run = photographs(tmp_path / "data"), tmp_path / "run"
    (run / name).mkdir(parents=True)
    with pytest.raises(DerainError, match=rf"the run folder {run} can't be written at step \d: "):
        train(recipe, here(data, run, resume=True))
