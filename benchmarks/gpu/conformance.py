"""This project's own tests of whatever touches a card, with the driver and the card there are."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from derain.benchmarks.gpu.plan import Plan, Row
from derain.engines.errors import DerainError

TAIL = 600
"""Characters of what pytest printed last that are kept where it gave no results."""


def rows(plan: Plan) -> Iterator[Row]:
    """A row a suite. Raises DerainError where there are no tests, or no pytest."""
    if plan.tests is None or not (plan.tests / plan.suites[0]).exists():
        raise DerainError(
            "there are no tests here; run it from a checkout, or name their folder with --tests"
        )
    if find_spec("pytest") is None:
        raise DerainError("the package pytest is not installed")
    for suite in plan.suites:
        yield suite_row(plan.tests, suite, on_card=not plan.rehearsal)


def suite_row(tests: Path, suite: str, on_card: bool) -> Row:
    """How many of its tests passed, failed and were skipped; the first that failed."""
    with TemporaryDirectory(prefix="derain-suite-") as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={results}"]
        environment = os.environ | ({"DERAIN_EXPECT_GPU": "1"} if on_card else {})
        asked = [*command, str(tests / suite)]
        end = subprocess.run(asked, capture_output=True, text=True, env=environment, check=False)
        if not results.exists():
            return {"suite": suite, "passed": 0, "failed": 1, "skipped": 0, "first": end.stdout[-TAIL:]}
        return {"suite": suite} | counted(ET.parse(results).getroot())


def counted(root: ET.Element) -> Row:
    """Of pytest's file of results."""
    cases = list(root.iter("testcase"))
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    return {
        "passed": len(cases) - len(bad) - len(skipped),
        "failed": len(bad),
        "skipped": len(skipped),
        "first": bad[0].get("name", "") if bad else "",
    }
