"""One engine in place of another, in the midst of a video."""

from derain.engines.engine import Engine

SAME_ON_CARDS = ("name", "version", "halo", "multiple_of", "tiling", "attention", "attention_scale")
SAME_OF_ENGINES = ("channels", "gives_scores", "states")


def differs(one: Engine, other: Engine) -> str:
    """Why `other` can't go on for `one` in the midst of a video, "" where it can.

    Both must run the same network, opened to give the same; precision, backend and device may be others.
    """
    facts = [(name, getattr(one.card, name), getattr(other.card, name)) for name in SAME_ON_CARDS]
    facts += [(name, getattr(one, name), getattr(other, name)) for name in SAME_OF_ENGINES]
    others = (
        f"its {name.replace('_', ' ')} is {there}, not {here}" for name, here, there in facts if here != there
    )
    return next(others, "")
