"""Tables as typed objects: what each kind of key takes, and the sentence where a value is another."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from derain.engines.errors import UsageError
from derain.train.fields import GIVEN, build, check, ranged


@dataclass(frozen=True)
class Inner:
    size: int = ranged(1, 8)
    way: Literal["left", "right", "up"] = "left"


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    rate: float = ranged(0, default=1.0)
    both: tuple[float, float] = ranged(0, 1, (0.0, 1.0))
    many: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    shares: dict[str, float] = field(default_factory=dict)
    loose: dict[str, Any] = field(default_factory=dict)
    on: bool = True
    perhaps: float | None = None
    helper: object = field(default=None, metadata=GIVEN)


LEAST = {"name": "x", "inner": {"size": 2}}


def test_a_table_becomes_an_object_with_its_defaults() -> None:
    assert build(Outer, LEAST, "f") == Outer("x", Inner(2))
    full = {
        **LEAST, "rate": 2, "both": [0, 0.5], "many": [3, 4], "names": ["a"], "shares": {"a": 1},
        "loose": {"b": [1]}, "on": False, "perhaps": 2,
    }  # fmt: skip
    found = build(Outer, full, "f")
    assert (found.rate, found.both, found.many, found.names) == (2.0, (0.0, 0.5), (3, 4), ("a",))
    assert (found.shares, found.loose, found.on, found.perhaps) == ({"a": 1.0}, {"b": [1]}, False, 2.0)
    assert all(type(value) is float for value in (found.rate, *found.both, found.shares["a"]))


HUGE = 10**400

WRONG = [
    (
        {"rat": 1},
        r"f has no key rat; it takes both, inner, loose, many, name, names, on, perhaps, rate, shares",
    ),
    ({"helper": 1}, "f has no key helper"),
    ({"inner": {"size": 2, "side": 1}}, r"f \[inner\] has no key side; it takes size, way$"),
    ({"inner": {}}, r"f \[inner\] lacks the key size$"),
    ({"inner": 3}, r"f \[inner\] is a table of keys and values, not 3$"),
    ({"inner": {"size": 9}}, r"f \[inner\] size takes a whole number from 1 to 8, not 9$"),
    ({"inner": {"size": 2.0}}, r"size takes a whole number from 1 to 8, not 2.0$"),
    ({"inner": {"size": True}}, r"size takes a whole number from 1 to 8, not True$"),
    ({"inner": {"size": 2, "way": "down"}}, r"f \[inner\] way takes left, right or up, not 'down'$"),
    ({"inner": {"size": 2, "way": ["left"]}}, r"way takes left, right or up, not \['left'\]$"),
    ({"name": 3}, "f name takes a text, not 3$"),
    ({"rate": "fast"}, "f rate takes a number from 0 up, not 'fast'$"),
    ({"rate": -0.1}, "f rate takes a number from 0 up, not -0.1$"),
    ({"rate": float("nan")}, "f rate takes a number from 0 up, not nan$"),
    ({"rate": float("inf")}, "f rate takes a number from 0 up, not inf$"),
    ({"rate": HUGE}, "f rate takes a number from 0 up, not 1000"),
    ({"both": [0.5]}, r"f both takes a list of 2 numbers from 0 to 1, not \[0.5\]$"),
    ({"both": [0.5, 2]}, r"f both takes a list of 2 numbers from 0 to 1, not \[0.5, 2\]$"),
    ({"both": 0.5}, "f both takes a list of 2 numbers from 0 to 1, not 0.5$"),
    ({"many": [1, "a"]}, r"f many takes a list of whole numbers, not \[1, 'a'\]$"),
    ({"names": "a"}, "f names takes a list of texts, not 'a'$"),
    ({"shares": [1]}, r"f shares takes a table of keys and values, not \[1\]$"),
    ({"shares": {"a": "b"}}, "f shares takes a number for each of its keys, not {'a': 'b'}$"),
    ({"loose": 1}, "f loose takes a table of keys and values, not 1$"),
    ({"on": 1}, "f on takes true or false, not 1$"),
    ({"perhaps": "a"}, "f perhaps takes a number, not 'a'$"),
]


@pytest.mark.parametrize("change,sentence", WRONG)
def test_what_a_key_can_not_have_is_told_with_what_it_takes(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        build(Outer, {**LEAST, **change}, "f")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UsageError, match=r"f lacks the key inner, name$"):
        build(Outer, {}, "f")


def test_a_part_of_a_table_may_lack_keys_and_have_no_wrong_ones() -> None:
    check(Outer, {}, "f")
    check(Outer, {"inner": {"way": "up"}, "rate": 3}, "f")
    for change, sentence in WRONG:
        if "lacks" not in sentence:
            with pytest.raises(UsageError, match=sentence):
                check(Outer, change, "f")
