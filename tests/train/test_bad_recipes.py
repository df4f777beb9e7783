"""What is wrong in a recipe is told by `derain train` in one sentence, before any data is read."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import TINY

from derain.engines.errors import UsageError
from derain.pipeline.cli import run
from derain.train.networks.registry import build_network
from derain.train.recipe import NetworkRecipe


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a recipe; gives its path."""

    def file(text: str | bytes, name: str = "mine.toml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return file


Write = Callable[..., str]


def told(arguments: list[str], output: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence of `derain train` without any data; it leaves nothing behind."""
    code = run(["train", *arguments, "--data", str(output.parent / "nowhere"), "--output", str(output)])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.startswith("derain: ") and said.err.count("\n") == 1 and "Traceback" not in said.err
    assert not output.exists()
    return said.err


CHANGED = [
    ("steps = 6", "stepz = 6", "FILE [train] has no key stepz; it takes accumulate, batch, betas"),
    ("[train]", "[trian]", "FILE has no key trian; it takes data, discriminator, licence, loss, name, "),
    ("steps = 6", "", "FILE [train] lacks the key steps"),
    ('name = "tiny"', "", "FILE lacks the key name"),
    ('name = "tiny"', 'name = "../tiny"', "FILE name takes letters, digits, . _ and -, not '../tiny'"),
    ("batch = 2", 'batch = "two"', "FILE [train] batch takes a whole number from 1 to 4096, not 'two'"),
    ("batch = 2", "batch = 0", "FILE [train] batch takes a whole number from 1 to 4096, not 0"),
    ("batch = 2", "batch = 2.5", "FILE [train] batch takes a whole number from 1 to 4096, not 2.5"),
    ("rate = 1e-3", "rate = nan", "FILE [train] rate takes a number from 0 up, not nan"),
    ("rate = 1e-3", f"rate = {10**400}", "FILE [train] rate takes a number from 0 up, not 1000"),
    ("steps = 6", f"steps = {'9' * 5000}", "FILE is not TOML: Exceeds the limit"),
    ("steps = 6", f"steps = {'[' * 5000}", "FILE is not TOML: maximum recursion depth exceeded"),
    ("rate = 1e-3", "rate = 1e-3\nbetas = [0.9, 1.0]", "FILE [train] betas takes a list of 2 numbers "),
    ("rate = 1e-3", 'rate = 1e-3\nprecision = "int4"', "FILE [train] precision takes fp32 or bf16, not"),
    ("rate = 1e-3", 'rate = 1e-3\noptimiser = "lion"', "FILE [train] optimiser takes adamw, adam or sgd,"),
    ("rate = 1e-3", "rate = 1e-3\n[network.size]\n[network.size]", "FILE is not TOML: "),
    ('name = "realtime-s"', 'name = "reeltime"', "FILE [network] name takes eigen2013, eigen2013-patch"),
    ("[network]", '[network]\nsize = { w = "a" }', "FILE [network] size w takes a number or a list"),
    ("[network]", "[network]\nsize = { w = [nan] }", "FILE [network] size w takes a number or a list of"),
    ("[train]", 'splits = ["train"]\n[train]', "FILE [data] splits are those of pairs, of which it"),
    ("[network]", "[network]\nwidth = 0", "FILE [network] width takes a number from 0.01 to 16, not 0"),
    ("patch = 32", "patch = 40", "FILE [train] patch takes multiples of 32 with realtime-s, not 40"),
    ("dry = 0.1", "dry = 0.2", "FILE [data] shares must give streaks, drops, joint and dry"),
    ("dry = 0.1", 'dry = "a"', "FILE [data] shares takes a number for each of its keys, not {"),
    ('photos = ["photos"]', "", "FILE [data] names neither photos nor pairs to train on"),
    ('photos = ["photos"]', 'pairs = ["a"]', "FILE [data] pairs_share is 1 where there are no photos"),
    ('photos = ["photos"]', 'photos = "photos"', "FILE [data] photos takes a list of texts, not 'photos'"),
    ("[train]", "scales = [2, 1]\n[train]", "FILE [data] scales takes the smaller number first, not 2 and 1"),
    ("[train]", "[discriminator]\nreal = 0.1\nfake = 0.9\n[train]", "FILE [discriminator] fake is below"),
    ("[train]", '[loss]\nname = "l3"\n[train]', "FILE [loss] name takes restoration, glance, "),
    ("[train]", "[loss.weights]\nl1 = 1\n[train]", "FILE [loss] weights has no key l1; "),
    (
        "[train]", "[loss.weights]\nattention = -1\n[train]",
        "FILE [loss] weights attention takes a number from 0 up, not -1",
    ),
    ("[network]", "[network]\nsize = { depth = 3 }", "FILE [network] size does not fit realtime-s: "),
    ('name = "realtime-s"', 'name = "pix2pix"', "FILE [train] patch takes multiples of 64"),
]  # fmt: skip


@pytest.mark.parametrize("was,now,sentence", CHANGED, ids=itertools.count())
def test_what_is_wrong_in_a_recipe_is_told_in_one_sentence(
    was: str, now: str, sentence: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert was in TINY
    path = write(TINY.replace(was, now, 1))
    assert f"derain: {sentence.replace('FILE', path)}" in told([path], tmp_path / "run", capsys)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\xff\x00", b"steps = = 3", b"\xff\xfe", b"<xml/>"])
def test_what_is_no_toml_is_told(
    content: bytes, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(content)
    assert f"derain: {path} is not TOML: " in told([path], tmp_path / "run", capsys)


def test_what_is_no_recipe_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run"
    assert f"{tmp_path} is a folder; name a recipe's file in it" in told([str(tmp_path)], output, capsys)
    said = told(["hurricane"], output, capsys)
    assert "no recipe 'hurricane': it is neither a file nor one of attentive-gan, attentive-gan-a, " in said
    assert "[train] lacks the key batch, patch, rate, steps" in told(
        [str(tmp_path / "half.toml")] if (tmp_path / "half.toml").write_text(half()) else [], output, capsys
    )


def half() -> str:
    """A recipe whose [train] is empty."""
    return TINY[: TINY.index("steps")]


@pytest.mark.parametrize(
    "change,sentence",
    [
        ("train.batch", "--set takes key=value such as train.batch=4, not 'train.batch'"),
        ("=3", "--set takes key=value such as train.batch=4, not '=3'"),
        ("train..batch=3", "--set takes key=value such as train.batch=4, not 'train..batch=3'"),
        ("train=3", "spanet with --set [train] is a table of keys and values, not 3"),
        ("train.btch=3", "spanet with --set [train] has no key btch; it takes accumulate"),
        (
            "train.batch=many",
            "spanet with --set [train] batch takes a whole number from 1 to 4096, not 'many'",
        ),
        (
            "train.batch.of=3",
            "spanet with --set [train] batch takes a whole number from 1 to 4096, not {'of': 3}",
        ),
        ("data.photos=[photos/a]", "spanet with --set [data] photos takes a list of texts, not '[photos/a]'"),
        ("seed=-1", "spanet with --set seed takes a whole number from 0 to 4294967295, not -1"),
    ],
)
def test_what_is_wrong_with_set_is_told(
    change: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in told(["spanet", "--set", change], tmp_path / "run", capsys)


@pytest.mark.parametrize(
    "network,size",
    [
        ("pix2pix", {"dropout": 2.0}), ("eigen2013", {"deviation": -1.0}), ("daiam", {"steps": 0}),
        ("realtime-s", {"channels": [1]}), ("spanet", {"depth": 3}),
        ("realtime-s", {"block": "round"}), ("realtime-s", {"block": 3}), ("realtime-s", {"cell": 16}),
    ],
)  # fmt: skip
def test_a_size_that_does_not_fit_its_network_is_told(network: str, size: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"\[network\] size does not fit {network}: "):
        build_network(NetworkRecipe(network, size, 0.25))


@pytest.mark.parametrize("option", ["--log-every", "--checkpoint-every"])
def test_an_interval_of_no_steps_is_told(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(["spanet", option, "0"], tmp_path / "run", capsys)
    assert f"Invalid value for '{option}': 0 is not in the range x>=1" in said
