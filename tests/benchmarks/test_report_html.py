"""The page of `derain evaluate --html`, in a real browser: it sorts, loads nothing, and takes odd names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx_models
import pytest
from browser import ENTER, Browser, browser

from derain.pipeline.cli import run

ODD = 'a<img src=x onerror=document.title=1>&"q"'
"""A file may be called so."""
RAIN = {"1": 60, "2": 20, "10": 40, ODD: 80}
"""Pictures, and the grey levels that their rain adds."""


def write(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((36, 48, 3), 90, np.uint8)
    picture[:, :12] += np.uint8(level)
    done, coded = cv2.imencode(".png", picture)
    assert done
    path.write_bytes(coded.tobytes())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on four pairs and two models, with thumbnails of three of the pairs."""
    folder = tmp_path_factory.mktemp("report")
    for name, level in RAIN.items():
        write(folder / "set" / "rainy" / f"{name}.png", level)
        write(folder / "set" / "clean" / f"{name}.png", 0)
    weights = np.eye(3, dtype=np.float32)[..., None, None]
    dark = onnx_models.conv(folder, "dark", weights=weights, bias=np.full(3, -10 / 255, np.float32))
    same = onnx_models.identity(folder)
    options = ["--backend", "onnxruntime", "--html", str(folder / "r.html"), "--html-pictures", "3"]
    assert run(["evaluate", str(dark), str(folder / "set"), "--against", str(same), *options]) == 0
    return folder / "r.html"


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def shown(window: Browser, page: Path) -> Iterator[Browser]:
    """The page just opened; whatever a test does with it, the page must not complain."""
    window.open(page.as_uri())
    window.complaints()
    yield window
    assert window.complaints() == []


def column(window: Browser, number: int) -> list[str]:
    """The text of a column of the table of pictures, from above."""
    return cells(window, number, "innerText")


def cells(window: Browser, number: int, what: str) -> list[str]:
    """Of each cell of a column."""
    rows = "[...document.querySelectorAll('#pictures tbody tr')]"
    found: list[str] = window.run(f"return {rows}.map(row => row.cells[arguments[0]].{what})", number)
    return found


def names(window: Browser) -> list[str]:
    return column(window, 0)


def sheet(window: Browser) -> list[str]:
    """The pictures of the contact sheet, from above."""
    script = "return [...document.querySelectorAll('#sheet h3')].map(h => h.firstChild.textContent.trim())"
    found: list[str] = window.run(script)
    return found


def state(window: Browser, key: str) -> Any:
    return window.run(f"return document.querySelector('th[data-key=\"{key}\"]').getAttribute('aria-sort')")


def test_all_pictures_are_listed_least_gain_first_and_the_worst_shown(shown: Browser) -> None:
    """The network takes 10 levels everywhere, which gains nothing in light rain and little in heavy."""
    assert names(shown) == ["2", ODD, "1", "10"]
    assert sheet(shown) == ["2", ODD, "1"]
    assert state(shown, "m0.gain_y") == "ascending"


def test_a_click_on_a_head_sorts_the_table_and_the_sheet(shown: Browser) -> None:
    shown.click("th[data-key='rainy.psnr_y'] button")
    assert names(shown) == [ODD, "1", "10", "2"]
    assert sheet(shown) == [ODD, "1", "2"]
    assert [state(shown, key) for key in ("rainy.psnr_y", "m0.gain_y")] == ["ascending", "none"]
    shown.click("th[data-key='rainy.psnr_y'] button")
    assert names(shown) == ["2", "10", "1", ODD] and sheet(shown) == ["2", "1", ODD]
    assert state(shown, "rainy.psnr_y") == "descending"
    told = shown.run("return document.querySelector('[role=status]').innerText")
    assert told == "Sorted by PSNR Y of rainy, highest first."


def test_names_sort_as_people_count(shown: Browser) -> None:
    shown.click("th[data-key='name'] button")
    assert names(shown) == ["1", "2", "10", ODD]


def test_every_column_sorts_both_ways(shown: Browser) -> None:
    keys = shown.run(
        "return [...document.querySelectorAll('#pictures th[data-key]')].map(th => th.dataset.key)"
    )
    assert len(keys) == len(set(keys)) > 15
    for number, key in enumerate(keys[1:], 1):
        shown.run(f"document.querySelector('th[data-key=\"{key}\"] button').click()")
        way = 1 if state(shown, key) == "ascending" else -1
        known = [float(value) * way for value in cells(shown, number, "dataset.value") if value]
        assert known == sorted(known), key


def test_a_sorted_view_has_an_address(window: Browser, page: Path) -> None:
    window.open(f"{page.as_uri()}#sort=rainy.psnr_y:asc")
    assert names(window) == [ODD, "1", "10", "2"]
    window.click("th[data-key='m1.ssim_y'] button")
    assert window.run("return location.hash") == "#sort=m1.ssim_y:asc"
    window.open(f"{page.as_uri()}#sort=nonsense:asc")
    assert names(window) == ["2", ODD, "1", "10"]


def test_it_is_used_with_the_keyboard(shown: Browser) -> None:
    shown.press("th[data-key='m0.psnr_y'] button", ENTER)
    assert state(shown, "m0.psnr_y") == "ascending"
    assert shown.run("return document.activeElement.closest('th').dataset.key") == "m0.psnr_y"
    outline = shown.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_a_name_leads_to_its_thumbnails(shown: Browser) -> None:
    shown.click("#pictures tbody a")
    assert shown.run("return document.querySelector(':target h3').firstChild.textContent.trim()") == "2"
    assert shown.run("return document.querySelectorAll('#pictures tbody a').length") == 3


def test_names_are_text_and_never_markup(shown: Browser) -> None:
    assert ODD in names(shown)
    assert shown.run("return document.title") == "derain evaluate: dark, identity"
    assert shown.run("return [...document.images].every(i => i.src.startsWith('data:image/webp'))")


def test_every_picture_shows_and_says_what_it_is(shown: Browser) -> None:
    """Rainy, two restored, clean, two error maps: for each of three pairs."""
    assert shown.run("return document.images.length") == 3 * 6
    eager = "image.loading = 'eager'; await image.decode(); return image.naturalWidth"
    widths = shown.run(f"return Promise.all([...document.images].map(async image => {{ {eager} }}))")
    assert widths == [48] * 18
    captions = shown.run(
        "return [...document.querySelector('#sheet li').querySelectorAll('img')].map(i => i.alt)"
    )
    assert [re.split(",", caption)[0] for caption in captions] == [
        "rainy",
        "dark",
        "identity",
        "clean",
        "error of dark",
        "error of identity",
    ]


def test_it_loads_nothing_and_names_no_other_place(shown: Browser, page: Path) -> None:
    loaded = shown.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name[:40] for name in loaded if not name.startswith("data:")] == []
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:image/webp|#)[^"]*"|url\(|@import|https?:', text)


def test_it_is_light_or_dark_as_the_reader_likes(shown: Browser) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        shown.emulate(scheme)
        grounds.append(shown.run("return getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(18, 23, 28)"]


def test_columns_without_a_figure_are_left_out(shown: Browser) -> None:
    """One set, no clips: neither set nor frames nor flicker."""
    heads = shown.run(
        "return [...document.querySelectorAll('#pictures th[data-key]')].map(th => th.innerText)"
    )
    assert not [head for head in heads if re.match("set|frames|flicker", head)]
