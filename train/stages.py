"""How large batches and patches are at each step of a run, and which samples came before it."""

from derain.train.recipe import OptimiserRecipe, Stage


def stages(recipe: OptimiserRecipe) -> list[Stage]:
    """All that a run comes to, the first from step 0 on; one that would begin after its end is none."""
    first = Stage(0, recipe.batch, recipe.patch)
    return [first, *(stage for stage in recipe.stages if stage.begin < recipe.steps)]


def stage_at(recipe: OptimiserRecipe, step: int) -> Stage:
    """That of the step after so many."""
    return [stage for stage in stages(recipe) if stage.begin <= step][-1]


def samples_before(recipe: OptimiserRecipe, step: int) -> int:
    """How many samples so many steps take in one process."""
    found = stages(recipe)
    ends = [*(stage.begin for stage in found[1:]), step]
    lengths = (max(0, min(end, step) - stage.begin) for stage, end in zip(found, ends, strict=True))
    taken = sum(length * stage.batch for length, stage in zip(lengths, found, strict=True))
    return taken * recipe.accumulate


def largest(recipe: OptimiserRecipe) -> int:
    """The side of the largest patch that a run comes to."""
    return max(stage.patch for stage in stages(recipe))
