"""Rain-aware bypass of pictures that stay on the card: the same judgements, and the same pictures."""

from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

from av.video.frame import VideoFrame

from derain.engines.engine import Scores
from derain.pipeline.bypass import Bypass, Watch, faded
from derain.pipeline.colour import FromRGB
from derain.pipeline.glance import Glance
from derain.pipeline.gpu.restore import CardRestorer
from derain.pipeline.restore import Restorer


class CardBypass(Bypass):
    """A Bypass whose frames are surfaces, and which gives the encoder's pictures.

    What needs the host to see a picture (a glance, the few frames of a fade) brings that picture there.
    `encoded`: the encoder's picture of pixels on the host.
    """

    def __init__(self, restorer: CardRestorer, watch: Watch, rate: Fraction | None, encoded: FromRGB) -> None:
        self._card, self._encoded = restorer, encoded
        if watch.glance is not None:
            watch = replace(watch, glance=CardGlance(watch.glance, restorer))
        # It is for surfaces what a Restorer is for pixels, and a Bypass looks into neither.
        super().__init__(cast(Restorer, restorer), watch, rate)

    def _untouched(self, pixels: Any) -> Any:
        return self._card.untouched(pixels)

    def _mixed(self, pixels: Any, restored: Any) -> Any:
        rainy, pixels_restored = self._card.both(pixels)
        mixed: VideoFrame = self._encoded(
            faded(rainy, pixels_restored, self._weight, self._rain_at(rainy.shape[:2]))
        )
        return mixed


class CardGlance(Glance):
    """A glance at surfaces, which are brought to the host for it."""

    def __init__(self, glance: Glance, restorer: CardRestorer) -> None:
        self.scale, self.dry_below = glance.scale, glance.dry_below
        self._glance, self._card = glance, restorer

    def __call__(self, pixels: Any) -> Scores:
        return self._glance(self._card.rgb(pixels))
