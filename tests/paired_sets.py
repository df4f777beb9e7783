"""Tiny sets of pairs in the published layouts: scene N is always the same, its rain 20 levels brighter."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

RGB = npt.NDArray[np.uint8]


def scene(seed: int, height: int = 48, width: int = 64) -> RGB:
    """Coarse shapes with fine texture, 10..210."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(10, 180, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.uniform(-60, 60, (height, width, 1)), (0, 0), 1.0)[..., None]
    return np.asarray(np.clip(coarse + fine, 10, 210), np.uint8)


def rained(clean: RGB, seed: int = 0) -> RGB:
    """20 levels brighter with streaks straight down on a tenth of the columns."""
    columns = np.asarray(np.random.default_rng(seed).uniform(size=clean.shape[1]) < 0.1)
    return np.asarray(np.clip(clean + 20.0 + 25 * columns[None, :, None], 0, 255), np.uint8)


def write(path: Path, picture: RGB) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def twins(rainy: Path, clean: Path, seed: int) -> None:
    """Scene `seed` and its rain in two files."""
    write(clean, scene(seed))
    write(rainy, rained(scene(seed), seed))


def plain(
    folder: Path, numbers: Sequence[int] = (0, 1, 2), names: tuple[str, str] = ("rainy", "clean")
) -> Path:
    for n in numbers:
        twins(folder / names[0] / f"{n}.png", folder / names[1] / f"{n}.png", n)
    return folder


def inputs(folder: Path) -> Path:
    return plain(folder, names=("input", "target"))


def qian(folder: Path, splits: Sequence[str] = ("train", "test_a", "test_b")) -> Path:
    for start, split in enumerate(splits):
        for n in (0, 1):
            place, ending = folder / split, "jpg" if split == "test_b" else "png"
            twins(place / "data" / f"{n}_rain.{ending}", place / "gt" / f"{n}_clean.{ending}", 10 * start + n)
    return folder


def jrsrd(folder: Path) -> Path:
    for n in (0, 1):
        for k in (1, 2, 3, 4):
            twins(folder / "train/data" / f"{n}_rain_{k}.png", folder / "train/gt" / f"{n}_clean.png", n)
    return folder


def rain100_folders(folder: Path) -> Path:
    for n in (1, 2):
        twins(folder / "rain" / f"rain-{n:03}.png", folder / "norain" / f"norain-{n:03}.png", n)
    return folder


def rain100_x2(folder: Path) -> Path:
    for n in (1, 2):
        twins(folder / "rain/X2" / f"norain-{n}x2.png", folder / "norain" / f"norain-{n}.png", n)
        write(folder / "rainstreak" / f"norain-{n}s.png", scene(90))
    return folder


def rain100_rainy(folder: Path) -> Path:
    for n in (1, 2):
        twins(folder / "rainy" / f"rain-{n:03}.png", folder / f"norain-{n:03}.png", n)
    return folder


def rain100_one_folder(folder: Path) -> Path:
    for n in (1, 2):
        twins(folder / f"rain-{n}.png", folder / f"norain-{n}.png", n)
        write(folder / f"rainregion-{n}.png", scene(91))
    return folder


def rain12(folder: Path) -> Path:
    for n in (1, 2):
        twins(folder / f"{n:03}_in.png", folder / f"{n:03}_GT.png", n)
    return folder


def rain1400(folder: Path) -> Path:
    for n in (1, 2):
        for k in range(1, 15):
            twins(folder / "rainy_image" / f"{n}_{k}.jpg", folder / "ground_truth" / f"{n}.jpg", n)
    return folder


def did_mdn(folder: Path) -> Path:
    for start, density in enumerate(("Heavy", "Medium", "Light")):
        for n in (0, 1):
            clean = scene(10 * start + n)
            both = np.hstack([rained(clean, n), clean])
            write(folder / f"Rain_{density}" / "train2018new" / f"{n}.jpg", both)
    return folder


def spa_data(folder: Path) -> Path:
    lines = []
    for n in (0, 1):
        rainy, clean = f"/real_world/000/000-{n}/000-{n}_1_1.png", f"/real_world_gt/000/000_{n}_1.png"
        twins(folder / rainy[1:], folder / clean[1:], n)
        lines.append(f"{rainy} {clean}\n")
    (folder / "real_world.txt").write_text("".join(lines))
    return folder


def spa_test(folder: Path) -> Path:
    for n in (0, 1):
        twins(folder / "rain" / f"{n:03}.png", folder / "gt" / f"{n:03}gt.png", n)
    return folder


def rain_ds(folder: Path) -> Path:
    real, made = folder / "RainDS_real/train_set", folder / "RainDS_syn/train"
    for kind, prefix in (("raindrop", "rd"), ("rainstreak", "rain"), ("rainstreak_raindrop", "rd-rain")):
        twins(real / kind / "2.png", real / "gt/2.png", 2)
        twins(made / kind / f"{prefix}-1.png", made / "gt/norain-1.png", 1)
        twins(made / kind / f"pie-{prefix}-1.png", made / "gt/pie-norain-1.png", 3)
    return folder
