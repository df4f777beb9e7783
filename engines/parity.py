"""How near a compiled network comes to its fp32 reference, and what is near enough."""

from dataclasses import dataclass

BARS = {"fp32": 45.0, "fp16": 45.0, "bf16": 45.0, "int8": 38.0, "fp8": 38.0}
"""Decibels of PSNR, by precision, that each probe frame must reach."""

UP = {"int8": "fp16", "fp8": "fp16", "bf16": "fp16", "fp16": "fp32"}
"""The precision that is taken where one does not reach its bar."""

MAPS_BELOW = 25.0
"""Decibels by which attention maps and scores may be farther off than pixels: they say where rain is, and an
INT8 network that restores like its fp32 one to 46 dB gave scores of 22 dB."""

TILES = "tiles"
"""The probe that the plan restores in two tiles and the reference whole."""


@dataclass(frozen=True)
class Figures:
    """Of one probe: PSNR in decibels, None where there is no difference; the greatest error in 255 levels.

    `of`: what of it: "pixels", "maps" or "scores".
    """

    probe: str
    psnr: float | None
    error: float
    of: str = "pixels"

    def told(self) -> str:
        """In words."""
        what = self.probe if self.of == "pixels" else f"{self.probe} ({self.of})"
        near = "no difference" if self.psnr is None else f"{self.psnr:.1f} dB"
        return f"{what} {near}, greatest error {self.error:.3g}"


@dataclass(frozen=True)
class Parity:
    """What was measured. `reference`: the engine, "openvino fp32"; `size`: (height, width) of the probes.

    `bar`: of pixels.
    """

    reference: str
    bar: float
    size: tuple[int, int]
    figures: tuple[Figures, ...]

    @property
    def worst(self) -> Figures:
        """The one whose pixels are farthest from the reference's."""
        pixels = [one for one in self.figures if one.of == "pixels"]
        return min(pixels, key=lambda figures: float("inf") if figures.psnr is None else figures.psnr)

    @property
    def allowed_seam(self) -> float:
        """The greatest error that tiles may have.

        Where a whole frame is `e` from the reference, and so is each tile, two of them can't be more than
        2 e from each other, and the reference's own tiles are within 1 level of its whole frame.
        """
        whole = [one.error for one in self.figures if one.probe != TILES and one.of == "pixels"]
        return 1 + 2 * max(whole, default=0.0)

    @property
    def failures(self) -> tuple[str, ...]:
        """Each probe that is too far off, in words; nothing where all is well."""
        return tuple(text for figures in self.figures if (text := self._against(figures)))

    @property
    def passed(self) -> bool:
        """Whether all probes are near enough."""
        return not self.failures

    def _against(self, figures: Figures) -> str:
        bar = self.bar if figures.of == "pixels" else self.bar - MAPS_BELOW
        if figures.psnr is not None and figures.psnr < bar:
            return f"{figures.told()}, where {bar:g} dB are asked for"
        if figures.probe == TILES and figures.error > self.allowed_seam:
            return f"{figures.told()}, where the seam may have {self.allowed_seam:.3g}"
        return ""

    def told(self) -> str:
        """In one line."""
        height, width = self.size
        return f"{'; '.join(one.told() for one in self.figures)} (to {self.reference}, {width}x{height})"
