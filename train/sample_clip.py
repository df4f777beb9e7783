"""Makes the sample clip: rain of our own on a dry dashcam clip, with its clean twin and a sound track.

    python -m derain.train.sample_clip solidWhiteRight.mp4 samples

The clip is from Udacity's CarND course (MIT). Drops stay on the lens, streaks fall through the frames.
"""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from derain.train.degradations.compose import Shot, make
from derain.train.degradations.raindrops import Drop, Raindrops
from derain.train.degradations.streaks import Layer, Streaks

SIZE = (768, 432)
FRAMES = 200
RATE = 25
SOUND_RATE = 48_000
SEED = 11
CLEAN_CRF, RAINY_CRF = "21", "26"
SHOWER = Streaks(
    layers=(Layer(12, 46, 1.7, 0.09, 0.42), Layer(9, 26, 1.1, 0.12, 0.26), Layer(14, 90, 3.0, 0.012, 0.34)),
    blend="screen",
    level=1.0,
    haze=0.04,
    seed=SEED,
)


def wet_lens(rng: np.random.Generator) -> Raindrops:
    """Some fifty drops of 4 to 20 pixels, out of focus."""
    width, height = SIZE
    drops = tuple(
        Drop(
            x=rng.uniform(0, width),
            y=rng.uniform(0, height),
            radius=rng.uniform(5, 15),
            contact=rng.uniform(30, 50),
            stretch=rng.uniform(0.9, 1.3),
            angle=rng.normal(0, 0.5),
        )
        for _ in range(48)
    )
    return Raindrops(drops, defocus=4.0, view=3.0)


def clean_pictures(path: Path) -> Iterator[npt.NDArray[np.float32]]:
    """The first FRAMES pictures of the clip at SIZE, (H, W, 3) float32 in 0..1."""
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == FRAMES:
                return
            small = cv2.resize(frame.to_ndarray(format="rgb24"), SIZE, interpolation=cv2.INTER_AREA)
            yield np.asarray(small, np.float32) / np.float32(255)


def sound(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Rain on a roof and an indicator that ticks on every half second: (2, samples) float32 in -1..1."""
    count = FRAMES * SOUND_RATE // RATE
    noise = rng.normal(0, 1, (2, count)).astype(np.float32)
    hiss = cv2.GaussianBlur(noise, (0, 0), sigmaX=2.0, sigmaY=0.1)
    ticks = np.zeros(count, np.float32)
    envelope = np.exp(-np.arange(2400) / 300) * np.sin(np.arange(2400) * (2 * np.pi * 1200 / SOUND_RATE))
    for start in range(0, count - 2400, SOUND_RATE // 2):
        ticks[start : start + 2400] += envelope
    return np.asarray(0.12 * hiss + 0.3 * ticks, np.float32)


class Clip:
    """An MP4 of H.264, tagged BT.709 limited, written frame by frame; with sound where `audio` is given."""

    def __init__(self, path: Path, crf: str, audio: npt.NDArray[np.float32] | None) -> None:
        self.container = av.open(str(path), "w", options={"movflags": "+faststart"})
        stream: Any = self.container.add_stream("libx264", rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {"crf": crf, "preset": "veryslow"}
        stream.codec_context.colorspace = stream.codec_context.color_primaries = 1
        stream.codec_context.color_trc = stream.codec_context.color_range = 1
        self.video = stream
        self.audio: Any = self.container.add_stream("aac", rate=SOUND_RATE) if audio is not None else None
        self.sound = audio

    def write(self, picture: npt.NDArray[np.float32], index: int) -> None:
        pixels = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=1, src_color_range=2, dst_color_range=1)
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        self.container.mux(self.video.encode(frame))

    def close(self) -> None:
        self.container.mux(self.video.encode(None))
        if self.sound is not None:
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(self.sound), format="fltp", layout="stereo"
            )
            block.sample_rate, block.pts, block.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
            self.container.mux(self.audio.encode(block))
            self.container.mux(self.audio.encode(None))
        self.container.close()


def main(source: Path, folder: Path) -> None:
    """Writes dashcam-rain.mp4 and dashcam-clean.mp4 into `folder`."""
    rng = np.random.default_rng(SEED)
    shot, track = Shot((wet_lens(rng), SHOWER)), sound(rng)
    rainy = Clip(folder / "dashcam-rain.mp4", RAINY_CRF, track)
    clean = Clip(folder / "dashcam-clean.mp4", CLEAN_CRF, None)
    for index, picture in enumerate(clean_pictures(source)):
        clean.write(picture, index)
        rainy.write(make(picture, shot, index / RATE).rainy.image, index)
    rainy.close()
    clean.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
