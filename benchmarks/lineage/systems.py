"""The systems that one budget trains, and which of them their papers found better."""

from dataclasses import dataclass, replace

from derain.train.recipe import DataRecipe, Recipe, load_recipe

SYSTEMS = (
    "eigen2013",
    "eigen2013-patch",
    "attentive-gan-a",
    "attentive-gan",
    "spanet-ba",
    "spanet",
    "water-gan",
    "pix2pix",
    "pix2pix-stabilised",
    "dam-odd",
    "daiam",
    "d-daiam",
)
"""In the order of their papers, each paper's control before it."""
SHARES = {"streaks": 0.3, "drops": 0.3, "joint": 0.35, "dry": 0.05}
"""The rain that all of them are trained on, whatever their papers took out."""
MEDIAN, BILATERAL = "median 5x5", "bilateral 2, 0.3"


@dataclass(frozen=True)
class Claim:
    """What a paper says by its figures: each group of `chain` is better than the next, on the set `on`."""

    paper: str
    on: str
    chain: tuple[tuple[str, ...], ...]

    def pairs(self) -> list[tuple[str, str]]:
        """(better, worse), one by one."""
        beside = zip(self.chain, self.chain[1:], strict=False)
        return [(one, other) for better, worse in beside for one in better for other in worse]


CLAIMS = (
    Claim("Eigen 2013", "drops", (("eigen2013",), ("eigen2013-patch",), (MEDIAN, BILATERAL))),
    Claim("Qian 2018", "drops", (("attentive-gan",), ("attentive-gan-a",))),
    Claim("SPANet 2019", "streaks", (("spanet",), ("spanet-ba",))),
    Claim("Deraining water drops with GAN", "drops", (("pix2pix",), ("water-gan",))),
    Claim("DAiAM 2021", "joint", (("d-daiam",), ("daiam",), ("dam-odd",))),
)


def recipe_of(system: str, seed: int) -> Recipe:
    """A system's small recipe on the data that all are trained on: photos as they are cut for our own."""
    recipe = load_recipe(f"{system}-small")
    data = DataRecipe(recipe.data.photos, dict(SHARES), terms=recipe.data.terms)
    return replace(recipe, seed=seed, data=data)


def lasting(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with its schedule drawn out, or together, to `steps`; a tenth is warm-up at most."""
    train = recipe.train
    milestones = tuple(round(milestone * steps / train.steps) for milestone in train.milestones)
    warmup = min(train.warmup, steps // 10)
    return replace(recipe, train=replace(train, steps=steps, warmup=warmup, milestones=milestones))
