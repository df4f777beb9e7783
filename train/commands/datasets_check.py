"""`derain datasets check A [B]`."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from derain.pipeline.commands.options import path_option
from derain.train.sets.check import problems_of
from derain.train.sets.layouts import Problem, read_sets
from derain.train.sets.scenes import Fingerprint, Same, clean_pictures, fingerprint_of, same_scenes

T = TypeVar("T")


@click.command("check")
@click.argument("a", callback=path_option)
@click.argument("b", callback=path_option, required=False)
@click.option("--json", "as_json", is_flag=True, help="What was found as a JSON object.")
@click.pass_context
def command(ctx: click.Context, a: Path, b: Path | None, as_json: bool) -> None:
    """Check the pairs of A, or find the scenes that A and B share.

    Of one set: every picture without a twin, every damaged file, and every pair of two sizes, shifted by more
    than 2 pixels or of two scenes. Of two, each a set of pairs or a folder of photographs: every scene in
    both, though it be scaled, coded again, flipped or cropped by a tenth. Exit code 1 where there is any.
    """
    result = check_one(a) if b is None else check_two(a, b)
    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        for line in told(result):
            click.echo(line)
    ctx.exit(1 if result["problems"] or result.get("same") else 0)


def check_one(folder: Path) -> dict[str, Any]:
    """The faults of a set's names and of its pairs."""
    sets = read_sets(folder)
    problems = [problem for one in sets for problem in one.problems]
    pairs = [pair for one in sets for pair in one.pairs]
    for pair in progress(pairs, "reading pairs"):
        problems += problems_of(pair)
    return {"set": str(folder), "pairs": len(pairs), "problems": [asdict(problem) for problem in problems]}


def check_two(a: Path, b: Path) -> dict[str, Any]:
    """The scenes that two sets share, and what could not be compared."""
    problems: list[Problem] = []
    prints = [list(fingerprints(folder, problems)) for folder in (a, b)]
    same = same_scenes(*prints)
    return {
        "a": {"set": str(a), "pictures": len(prints[0])},
        "b": {"set": str(b), "pictures": len(prints[1])},
        "same": [asdict(one) for one in same],
        "problems": [asdict(problem) for problem in problems],
    }


def fingerprints(folder: Path, problems: list[Problem]) -> Iterator[Fingerprint]:
    """Of the clean pictures of a set; what can't be read is added to `problems`."""
    pairs, wrong = clean_pictures(folder)
    problems += wrong
    for pair in progress(pairs, f"reading {folder.name}"):
        found = fingerprint_of(pair)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            yield found


def progress(items: Iterable[T], label: str) -> Iterator[T]:
    """The items, counted on a terminal's stderr."""
    if not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, label=label, file=sys.stderr) as bar:
        yield from bar


def told(result: dict[str, Any]) -> Iterator[str]:
    """The result as lines: one a finding, and the sum."""
    for problem in (Problem(**fields) for fields in result["problems"]):
        yield f"{problem.name}: {problem.text}"
    count = f"{len(result['problems'])} problems"
    if "same" not in result:
        yield f"{result['set']}: {result['pairs']} pairs, {count}"
        return
    for one in (Same(**fields) for fields in result["same"]):
        yield f"{one.a} is {one.b}, {one.turned} (correlation {one.correlation:.2f})"
    sizes = [f"{result[side]['set']} ({result[side]['pictures']} pictures)" for side in "ab"]
    yield f"{sizes[0]} and {sizes[1]}: {len(result['same'])} scenes in both, {count}"
