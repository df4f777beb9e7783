"""card.md: what a run has made so far, for whoever finds its weights."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from derain.train.checkpoint import State
from derain.train.networks.registry import entry
from derain.train.objectives import missing
from derain.train.recipe import Recipe, Stage
from derain.train.record.curves import Row, curve
from derain.train.record.provenance import DATA
from derain.train.stages import stages
from derain.train.steps import Plan


def card(
    folder: Path, state: State, plan: Plan, rows: Sequence[Row], starts: Sequence[dict[str, Any]]
) -> str:
    """The model card of a run as Markdown. `starts`: the content of its environment.json."""
    recipe = plan.recipe
    parts = {
        "Network": network(state, recipe),
        "Training": training(state, plan, rows, starts),
        "Data": data(folder, recipe),
        "Quality": quality(state, plan, rows),
        "Licence": [recipe.licence or "The recipe gives none: settle it before the weights are passed on."],
    }
    what = " and ".join(recipe.removes) or "degradations its recipe does not name"
    done = "its training is finished" if finished(state, recipe) else "its training is not finished"
    head = f"# {recipe.name}\n\nA network that removes {what}; {done}.\n"
    return head + "".join(
        f"\n## {title}\n\n" + "".join(f"- {x}\n" for x in lines) for title, lines in parts.items()
    )


def finished(state: State, recipe: Recipe) -> bool:
    return state.step >= recipe.train.steps


def network(state: State, recipe: Recipe) -> list[str]:
    known = entry(recipe.network.name)
    size = f", size {json.dumps(recipe.network.size)}" if recipe.network.size else ""
    count = sum(p.numel() for p in state.network.parameters())
    lines = [f"`{known.name}`, width {recipe.network.width:g}{size}: {count:,} parameters"]
    if state.judge is not None:
        judge = sum(p.numel() for p in state.judge.parameters())
        lines.append(
            f"trained against a discriminator of {judge:,} parameters, which is not needed afterwards"
        )
    return [*lines, f"Paper: {known.paper}"]


def training(state: State, plan: Plan, rows: Sequence[Row], starts: Sequence[dict[str, Any]]) -> list[str]:
    recipe, train = plan.recipe, plan.recipe.train
    now = starts[-1]
    hours = sum(start.get("seconds", 0.0) for start in starts) / 3600
    lines = [
        f"{state.step:,} of {train.steps:,} steps of {sizes(plan)}",
        f"Loss: {recipe.loss.name}; {train.optimiser}, rate {train.rate:g}, {train.precision}",
        f"Seed: {recipe.seed}",
        f"{hours:.2f} hours on {now['device']}" + (f", {len(starts)} starts" if len(starts) > 1 else ""),
        f"derain {now['packages']['derain']}, commit {now['commit'] or 'unknown'}",
    ]
    lines += [f"Hyper-parameters: {recipe.paper}"] if recipe.paper else []
    lines += [f"Began with the weights of {state.origin}"] if state.origin else []
    lines += [f"Learned from {state.given['teacher']}, too"] if "teacher" in state.given else []
    if "calibration" in state.given:
        lines.append(f"Rounds to INT8, by ranges of {state.given['calibration']}")
    return lines + stability(rows)


def sizes(plan: Plan) -> str:
    """How many patches of which size a step takes, and from which step on."""
    first, *later = stages(plan.recipe.train)
    together = plan.recipe.train.accumulate * plan.share.size

    def told(stage: Stage) -> str:
        return f"{stage.batch * together} patches of {stage.patch}x{stage.patch} pixels"

    return ", ".join([told(first), *(f"from step {stage.begin:,} on {told(stage)}" for stage in later)])


def stability(rows: Sequence[Row]) -> list[str]:
    """How often the game of generator and discriminator was lost."""
    won, alike = (curve(rows, name) for name in ("d_won", "alike"))
    if not won or not alike:
        return []
    return [
        f"Batches in which the discriminator judged nearly all right: {won[-1][1]:,.0f}; in which the "
        f"generator restored all pictures alike: {alike[-1][1]:,.0f}"
    ]


def data(folder: Path, recipe: Recipe) -> list[str]:
    content = (folder / DATA).read_bytes()
    sets = ", ".join(Path(name).name for name in (*recipe.data.photos, *recipe.data.pairs))
    terms = [f"Terms: {term}" for term in recipe.data.terms] or ["Terms: the recipe names none"]
    digest = hashlib.sha256(content).hexdigest()
    return [f"{sets}: {len(json.loads(content)):,} files; {DATA} has the sha256 {digest}", *terms]


def quality(state: State, plan: Plan, rows: Sequence[Row]) -> list[str]:
    """PSNR in validation, and what the figures are not."""
    lines = [validated(plan.recipe, rows)]
    if absent := missing(plan.objective):
        lines.append(f"The figures are then not the paper's: {absent}")
    return lines


def validated(recipe: Recipe, rows: Sequence[Row]) -> str:
    """PSNR in validation: best, last and of the rainy pictures."""
    found, rainy = curve(rows, "validation_psnr"), curve(rows, "validation_input")
    if not found:
        return "Not validated yet" if rainy else "Not validated: there are no held-out pictures"
    best, last = max(found, key=lambda point: point[1]), found[-1]
    source = ", ".join(recipe.validation.pairs) or "held-out photographs under the recipe's rain"
    against = f", rainy {rainy[-1][1]:.2f} dB" if rainy else ""
    return (
        f"PSNR on {recipe.validation.patches} fixed patches of {source}: best {best[1]:.2f} dB at step "
        f"{best[0]:,} (best.pt), last {last[1]:.2f} dB at step {last[0]:,}{against}"
    )
