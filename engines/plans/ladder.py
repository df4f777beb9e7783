"""From a plan that is not near enough to its reference to the next precision up."""

import logging
from collections.abc import Callable

from derain.engines.errors import DerainError
from derain.engines.parity import UP
from derain.engines.plans.obtain import Tell
from derain.engines.plans.store import StoredPlan

log = logging.getLogger(__name__)


def near_enough(
    precision: str, obtained: Callable[[str], StoredPlan], tell: Tell = log.warning
) -> StoredPlan:
    """The plan that `obtained` gives for `precision`, or for the first one up that reaches its bar.

    A plan that nobody has checked, for want of its device, is taken as it is. `tell` gets a sentence for each
    step. Raises DerainError where fp32 is too far off as well, and what `obtained` raises.
    """
    stored = obtained(precision)
    while (parity := stored.manifest.parity) is not None and not parity.passed:
        why = "; ".join(parity.failures)
        if precision not in UP:
            raise DerainError(
                f"the plan {stored.manifest.key} does not compute what its network does ({why}); "
                "take another backend"
            )
        precision = UP[precision]
        tell(f"the plan {stored.manifest.key} is too far from {parity.reference} ({why}); taking {precision}")
        stored = obtained(precision)
    return stored
