"""Sections of `derain bench gpu` that end badly; how is in the plan's models."""

import os
import time
from collections.abc import Iterator

from derain.benchmarks.gpu.plan import Plan, Row
from derain.engines.errors import DerainError


def rows(plan: Plan) -> Iterator[Row]:
    yield {"what": "first"}
    if plan.models == ("crash",):
        os._exit(11)
    if plan.models == ("hang",):
        time.sleep(600)
    if plan.models == ("fail",):
        raise DerainError("the card is gone")
    yield {"what": "last"}
