"""What the papers say their networks reach, as printed there; nothing here was measured by us."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """PSNR in dB and SSIM (None where there is none) on a test set, and `where` it stands."""

    on: str
    psnr: float
    ssim: float | None
    where: str


EIGEN_DIRT, QIAN, SPA = "Eigen's dirt", "Qian's raindrops", "SPA-Data"
RAIN100H, JRSRD = "Rain100H", "JRSRD"
ZHANG = "Zhang 2021,"

PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "eigen2013": (
        Published(EIGEN_DIRT, 35.43, None, "Eigen 2013, table 1"),
        Published(QIAN, 28.59, 0.6726, "Qian 2018, table 1"),
    ),
    "eigen2013-patch": (Published(EIGEN_DIRT, 34.52, None, "Eigen 2013, table 1"),),
    "attentive-gan": (Published(QIAN, 31.57, 0.9023, "Qian 2018, table 1"),),
    "attentive-gan-a": (Published(QIAN, 29.25, 0.7853, "Qian 2018, table 1"),),
    "attentive-gan-a-d": (Published(QIAN, 30.88, 0.8670, "Qian 2018, table 1"),),
    "attentive-gan-a-ad": (Published(QIAN, 30.60, 0.8710, "Qian 2018, table 1"),),
    "spanet-ba": (Published(SPA, 37.43, 0.9856, "Wang 2019, table 4"),),
    "spanet-bb": (Published(SPA, 37.43, 0.9854, "Wang 2019, table 4"),),
    "spanet-bc": (Published(SPA, 37.47, 0.9854, "Wang 2019, table 4"),),
    "spanet-bd": (Published(SPA, 37.70, 0.9858, "Wang 2019, table 4"),),
    "spanet-be": (Published(SPA, 37.39, 0.9856, "Wang 2019, table 4"),),
    "spanet": (Published(SPA, 38.06, 0.9867, "Wang 2019, tables 2 and 4"),),
    "dam-zero": (Published(JRSRD, 21.97, 0.729, f"{ZHANG} table 7"),),
    "dam-odd": (Published(JRSRD, 23.41, 0.791, f"{ZHANG} table 7"),),
    "dam": (
        Published(RAIN100H, 29.99, 0.905, f"{ZHANG} table 4"),
        Published(QIAN, 30.26, 0.9137, f"{ZHANG} table 5"),
        Published(JRSRD, 24.15, 0.806, f"{ZHANG} table 7"),
    ),
    "d-dam": (
        Published(RAIN100H, 30.35, 0.907, f"{ZHANG} table 4"),
        Published(QIAN, 30.63, 0.9268, f"{ZHANG} table 5"),
    ),
    "daiam": (Published(JRSRD, 24.67, 0.819, f"{ZHANG} tables 6 and 7"),),
    "daiam-daiam": (Published(JRSRD, 24.84, 0.823, f"{ZHANG} table 7"),),
    "d-daiam": (Published(JRSRD, 25.26, 0.825, f"{ZHANG} tables 6 and 7"),),
    "d-daiam-3": (Published(JRSRD, 25.68, 0.833, f"{ZHANG} table 7"),),
}
"""By the names of the registry."""
