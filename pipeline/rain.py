"""How much rain a network sees in a frame, in one number, and what a run sees of it."""

from dataclasses import replace

import cv2
import numpy as np

from derain.engines.card import ModelCard
from derain.engines.engine import Scores
from derain.pipeline.metrics import Rain
from derain.pipeline.restore import Restorer
from derain.pipeline.tiling import Tile

STRONGEST = 0.0005
"""The share of a picture's cells that its score is the mean of: those where the network sees most rain. Of
1280x720 pixels they cover 460, a drop of 24 pixels; one odd cell in a dry frame is not rain."""
FINEST = 4
"""Pixels a side of a cell at least: finer maps are averaged, which is quicker and quiets them."""


def score_of(scores: Scores, scale: int) -> float:
    """The score of a picture, 0..1, from the scores (h, w) of its cells of `scale` pixels a side."""
    if scale < FINEST:
        high, wide = (max(1, side * scale // FINEST) for side in scores.shape)
        scores = np.asarray(cv2.resize(scores, (wide, high), interpolation=cv2.INTER_AREA), np.float32)
    count = max(1, round(scores.size * STRONGEST))
    return float(np.partition(scores, -count, axis=None)[-count:].mean())


def is_dry(score: float, card: ModelCard) -> bool:
    """Whether a network takes a picture that it gives this score for dry; what is no number is not."""
    return score < card.dry_below


def core_of(scores: Scores, scale: int, tile: Tile, around: int = 0) -> Scores:
    """The scores of the cells that the core of `tile` touches, and of so many `around` it; a view."""
    rows, columns = (
        slice(max(0, begin // scale - around), -(-end // scale) + around)
        for begin, end in ((tile.keep_top, tile.keep_bottom), (tile.keep_left, tile.keep_right))
    )
    return scores[rows, columns]


def tile_scores(restorer: Restorer) -> tuple[float, ...]:
    """The score of each tile of the last frame, 0 of one that was skipped; none where it was whole."""
    plan, scores, scale = restorer.plan, restorer.scores, restorer.engine.card.attention_scale
    if plan is None or plan.whole or scores is None:
        return ()
    return tuple(score_of(core_of(scores, scale, tile), scale) for tile in plan.tiles)


class RainMeter:
    """Follows a restorer through a run; `rain` is what was seen so far, a new object for each frame."""

    def __init__(self, restorer: Restorer) -> None:
        self.rain = Rain()
        self._restorer = restorer
        self._seen, self._total = 0, 0.0

    def restored(self) -> float:
        """The restorer had a frame: the score of it, which its engine gives."""
        restorer, before = self._restorer, self.rain
        assert restorer.scores is not None, "the engine was opened with its scores"
        score = score_of(restorer.scores, restorer.engine.card.attention_scale)
        self._seen, self._total = self._seen + 1, self._total + score
        tiles = tile_scores(restorer)
        self.rain = replace(
            before,
            score=score,
            judge="network",
            tile_scores=tiles,
            mean=self._total / self._seen,
            greatest=max(score, before.greatest or 0.0),
            frames=before.frames + 1,
            tiles=before.tiles + len(tiles),
            skipped=before.skipped + restorer.skipped,
        )
        return score

    def glanced(self, score: float) -> None:
        """The glance gave a frame this score."""
        self.rain = replace(self.rain, score=score, judge="glance", tile_scores=())

    def passed(self) -> None:
        """A frame went past the network."""
        self.rain = replace(self.rain, frames=self.rain.frames + 1, bypassed=self.rain.bypassed + 1)
