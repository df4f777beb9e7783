"""Light, lens, sensor and codec: each does what its params say."""

import numpy as np
import pytest

from derain.engines.quality import psnr
from derain.train.degradations import camera, codec
from derain.train.degradations.rain import Picture

SIZE = (48, 64)
GREY = np.full((*SIZE, 3), 0.4, np.float32)


def point() -> Picture:
    picture = np.zeros((*SIZE, 3), np.float32)
    picture[24, 32] = 1.0
    return picture


def scene(height: int = 48, width: int = 64) -> Picture:
    """Smooth colours with a hard edge."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.stack([x / width, y / height, 1 - x / width], axis=2)
    picture[height // 4 : height // 2, width // 4 : width // 2] = (0.9, 0.1, 0.2)
    return picture


def lit(picture: Picture) -> tuple[int, int]:
    """Rows and columns that a point of light was spread over."""
    y, x = np.nonzero(picture.max(axis=2) > 1e-4)
    return int(np.ptp(y)) + 1, int(np.ptp(x)) + 1


def test_defocus_makes_a_point_a_disc_of_its_radius() -> None:
    soft = camera.defocus(point(), camera.Defocus(3.0))
    assert lit(soft) == (7, 7)
    assert soft[24, 32, 0] == pytest.approx(soft[26, 32, 0])  # flat, not a bell
    assert soft.sum() == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize(("angle", "size"), [(0.0, (9, 1)), (90.0, (1, 9))])
def test_motion_makes_a_point_a_line_along_its_angle(angle: float, size: tuple[int, int]) -> None:
    moved = camera.motion_blur(point(), camera.MotionBlur(9.0, angle))
    assert lit(moved) == size
    assert moved.sum() == pytest.approx(3.0, abs=1e-4)


def test_a_lens_leaves_a_plain_picture_alone_up_to_its_borders() -> None:
    for picture in (
        camera.defocus(GREY, camera.Defocus(2.0)),
        camera.motion_blur(GREY, camera.MotionBlur(8.0, 30.0)),
        camera.sharpening(GREY, camera.Sharpening(1.0, 1.0)),
    ):
        assert np.abs(picture - GREY).max() < 1e-5


def test_sharpening_overshoots_at_edges_only() -> None:
    edge = GREY.copy()
    edge[:, 32:] = 0.6
    sharp = camera.sharpening(edge, camera.Sharpening(1.0, 1.0))
    assert sharp[:, 32].min() > 0.62 and sharp[:, 31].max() < 0.38
    assert np.allclose(sharp[:, :20], 0.4, atol=1e-5)


def test_a_stop_doubles_the_light_and_clips_at_white() -> None:
    brighter = camera.exposure(GREY, camera.Exposure(1.0, 1.0, 1.0))
    assert brighter.mean() ** 2.2 == pytest.approx(2 * 0.4**2.2, rel=1e-4)
    assert camera.exposure(GREY + 0.5, camera.Exposure(1.0, 1.0, 1.0)).max() == 1


def test_white_balance_is_of_red_and_blue() -> None:
    cast = camera.exposure(GREY, camera.Exposure(0.0, 1.1, 0.9))
    assert cast[0, 0] == pytest.approx([0.44, 0.4, 0.36], abs=1e-5)


def test_night_is_dark_but_for_its_lamps() -> None:
    lamp = camera.Lamp(32.0, 24.0, 3.0, 0.3, 6.0, 2.0, (1.0, 0.8, 0.5))
    dark = camera.night(GREY, camera.Night(2.0, 0.5, (lamp,)))
    assert dark[0, 0] == pytest.approx([0.08] * 3, abs=1e-3)
    assert dark[24, 32] == pytest.approx([1.0, 1.0, 0.08 + 1.3 * 0.5], abs=1e-3)
    assert dark[24, 38, 0] == pytest.approx(0.08 + 0.3 / np.e, abs=1e-3)  # glare at its reach


def test_noise_has_the_deviation_it_names_and_is_new_at_every_time() -> None:
    params = camera.Noise(0.01, 4e-4, 5)
    now, again, later = (camera.noise(GREY, params, time) for time in (0.0, 0.0, 0.04))
    assert (now - GREY).std() == pytest.approx(np.sqrt(0.01**2 + 4e-4 * 0.4), rel=0.03)
    assert np.array_equal(now, again)
    assert abs(np.corrcoef((now - GREY).ravel(), (later - GREY).ravel())[0, 1]) < 0.05
    dark = camera.noise(GREY * 0.1, params)
    assert (dark - GREY * 0.1).std() < 0.8 * (now - GREY).std()


def test_jpeg_is_the_worse_the_lower_its_quality() -> None:
    good, bad = (psnr(codec.jpeg(scene(), codec.Jpeg(q)), scene(), 1) for q in (95, 20))
    assert 27 < bad < good - 3


def test_h264_is_the_worse_the_higher_its_factor() -> None:
    grey = np.repeat(scene()[..., :1], 3, axis=2)  # colours have half the resolution whatever the factor
    fine, middle, coarse = (psnr(codec.h264(grey, codec.H264(crf, 1, 0, 0)), grey, 1) for crf in (10, 30, 50))
    assert fine > middle + 3 > coarse + 6
    assert coarse > 15


@pytest.mark.parametrize("crf", [1, 20])
@pytest.mark.parametrize("colour", [(0.9, 0.1, 0.1), (0.1, 0.2, 0.9), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)])
def test_the_codecs_do_not_shift_colours(colour: tuple[float, float, float], crf: int) -> None:
    plain = np.full((*SIZE, 3), colour, np.float32)
    for coded in (codec.h264(plain, codec.H264(crf, 1, 0, 0)), codec.jpeg(plain, codec.Jpeg(95))):
        assert np.abs(coded - plain).max() < 2.5 / 255
    seen = codec.h264(scene(), codec.H264(crf, 1, 0, 0))
    assert np.abs((seen - scene()).mean(axis=(0, 1))).max() < 1 / 255


def test_a_moving_scene_is_coded_from_the_frame_before() -> None:
    still, moving = (codec.h264(scene(), codec.H264(32, 3, step, 0)) for step in (0, 3))
    alone = codec.h264(scene(), codec.H264(32, 1, 0, 0))
    assert not np.array_equal(moving, alone) and not np.array_equal(moving, still)
    assert psnr(moving, scene(), 1) > 22  # it is the last frame, where the scene is in its place


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (17, 33), (48, 64)])
def test_the_codecs_take_any_size(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 0.4, np.float32)
    for coded in (codec.h264(picture, codec.H264(20, 2, 1, 1)), codec.jpeg(picture, codec.Jpeg(90))):
        assert coded.shape == picture.shape and coded.dtype == np.float32
        assert np.abs(coded - picture).max() < 3 / 255
