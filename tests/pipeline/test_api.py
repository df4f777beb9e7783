"""The Python way in: arrays, pictures and videos; both depths; errors that say what was given."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clips
import numpy as np
import onnx_models
import pytest

from derain.engines.errors import DerainError, UsageError
from derain.pipeline import Derainer, Image
from derain.pipeline.sources.file import FileSource


@pytest.fixture(scope="module")
def negative(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives 1 - rainy."""
    weights = -np.eye(3, dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    folder = tmp_path_factory.mktemp("models")
    bias = np.ones(3, np.float32)
    return onnx_models.conv(folder, "negative", weights=weights, bias=bias, multiple_of=4)


@pytest.fixture(scope="module")
def derainer(negative: Path) -> Iterator[Derainer]:
    with Derainer(negative) as derainer:
        yield derainer


def noise(*shape: int, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(0).integers(0, int(np.iinfo(dtype).max) + 1, shape, dtype)


def same(one: Any, other: Any) -> bool:
    return bool(np.abs(one.astype(int) - other.astype(int)).max() <= 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (33, 18), (48, 64)])
def test_arrays_of_both_depths(derainer: Derainer, dtype: Any, size: tuple[int, int]) -> None:
    pixels = noise(*size, 3, dtype=dtype)
    restored = derainer(pixels)
    assert restored.dtype == dtype
    assert same(restored, np.iinfo(dtype).max - pixels)


def test_arrays_that_are_not_contiguous(derainer: Derainer) -> None:
    pixels = noise(64, 64, 3)[::2, ::-2]
    assert same(derainer(pixels), 255 - pixels)


def test_the_result_goes_where_it_is_wanted(derainer: Derainer) -> None:
    pixels, out = noise(32, 32, 3), np.empty((32, 32, 3), np.uint8)
    assert derainer(pixels, out) is out
    assert same(out, 255 - pixels)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        ([[[1, 2, 3]]], "is of type list, not an array"),
        (np.zeros((4, 4, 3), np.float32), "has the dtype float32; derain takes .* uint8 or uint16"),
        (np.zeros((4, 4, 4), np.uint8), r"has the shape \(4, 4, 4\); derain takes \(H, W, 3\) RGB"),
        (np.zeros((4, 4), np.uint8), r"has the shape \(4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"has the shape \(0, 4, 3\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"has the shape \(1, 4, 4, 3\)"),
    ],
)
def test_other_arrays_are_refused(derainer: Derainer, pixels: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        derainer(pixels)


@pytest.mark.parametrize(
    "out",
    [np.empty((4, 5, 3), np.uint8), np.empty((4, 4, 3), np.uint16), np.empty((4, 8, 3), np.uint8)[:, ::2]],
)
def test_a_wrong_out_is_refused(derainer: Derainer, out: Any) -> None:
    with pytest.raises(UsageError, match=r"it has to be \(4, 4, 3\) of uint8, C-contiguous"):
        derainer(noise(4, 4, 3), out)


def test_pictures_keep_grey_and_alpha(derainer: Derainer) -> None:
    grey, alpha = noise(9, 13), noise(9, 13)[::-1]
    restored = derainer.restore_image(Image(grey, alpha))
    assert restored.pixels.shape == (9, 13)
    assert same(restored.pixels, 255 - grey)
    assert restored.alpha is alpha


def test_a_video_is_restored_frame_by_frame_with_its_times(derainer: Derainer, tmp_path: Path) -> None:
    path = clips.Clip().write(tmp_path / "rainy.mp4")
    with FileSource(path) as source:
        rainy = list(source)
    restored = list(derainer.video(path))
    assert [frame.pts for frame in restored] == [frame.pts for frame in rainy]
    assert {frame.time_base for frame in restored} == {frame.time_base for frame in rainy}
    assert all(same(a.pixels, 255 - b.pixels) for a, b in zip(restored, rainy, strict=True))


def test_a_video_left_early_is_closed(
    derainer: Derainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    close = FileSource.close

    def counted(source: FileSource) -> None:
        closed.append(source)
        close(source)

    monkeypatch.setattr(FileSource, "close", counted)
    frames = derainer.video(clips.Clip().write(tmp_path / "rainy.mp4"))
    for _ in frames:
        break
    frames.close()  # type: ignore[attr-defined]
    assert closed


def test_a_missing_video_is_told_at_once(derainer: Derainer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.mp4"):
        derainer.video(tmp_path / "nothing.mp4")


def test_strength_and_tiles(negative: Path) -> None:
    with Derainer(negative, tile=16, strength=0.5) as derainer:
        assert same(derainer(noise(40, 40, 3)), np.full((40, 40, 3), 127))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": 2}, "the strength is 2; it takes a number from 0 to 1"),
        ({"tile": 2}, "tiles of 2 pixels are too small for negative; the smallest is 4"),
        ({"backend": "abacus"}, "no backend 'abacus'"),
    ],
)
def test_options_that_cannot_be_are_refused(negative: Path, options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Derainer(negative, **options)


def test_it_tells_what_runs_and_not_after_it_was_closed(negative: Path) -> None:
    derainer = Derainer(negative, backend="onnxruntime", precision="fp32")
    assert (derainer.card.name, derainer.backend, derainer.precision) == ("negative", "onnxruntime", "fp32")
    derainer.close()
    derainer.close()
    with pytest.raises(DerainError, match="was closed"):
        derainer(noise(4, 4, 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_attention_map_of_a_network_that_has_one(tmp_path: Path, dtype: Any) -> None:
    pixels = noise(33, 18, 3, dtype=dtype)
    with Derainer(onnx_models.attentive(tmp_path), attention=True) as derainer:
        restored, attention = derainer.with_attention(pixels)
        assert np.array_equal(derainer(pixels), restored)
        out = np.empty_like(pixels)
        assert derainer(pixels, out) is out
    assert same(restored, pixels // 2) and same(out, pixels // 2)
    assert attention.dtype == dtype
    assert np.array_equal(attention, pixels[..., 0])


def test_an_attention_map_that_is_not_there_is_told(derainer: Derainer, negative: Path) -> None:
    with pytest.raises(UsageError, match="gives no attention map; make one with attention=True"):
        derainer.with_attention(noise(4, 4, 3))
    with pytest.raises(UsageError, match=r"negative\.onnx gives no attention map"):
        Derainer(negative, attention=True)


def test_importing_the_package_is_light() -> None:
    heavy = ("cv2", "av", "onnx", "openvino")
    code = f"import sys, derain.pipeline; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_all_public_names_are_there() -> None:
    import derain.pipeline  # noqa: PLC0415

    assert all(getattr(derain.pipeline, name) for name in derain.pipeline.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Umbrella'"):
        derain.pipeline.Umbrella  # noqa: B018
