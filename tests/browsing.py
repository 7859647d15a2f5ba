"""A real headless Chromium: what a page shows, whether everybody can use it, screenshots to look at."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SCREENSHOTS = Path(__file__).with_name("screenshots")
"""Where tests leave screenshots, by name; not kept in git."""

_DRAWING = 300
"""Milliseconds until what has come into view is drawn."""

MARGIN, A4 = 14, 297
"""Millimetres that a report keeps off the edges of a sheet, and the height of one."""

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2},
}
"""How a page is looked at."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for path in map(shutil.which, names) if path), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox"])
        yield found
        found.close()


@contextmanager
def opened(browser: Any, look: str = "light", **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page in one of LOOKS, and the list that its errors and its requests to elsewhere come into."""
    context = browser.new_context(**LOOKS[look], **options)
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    yield page, problems
    context.close()


def violations(page: Any) -> list[str]:
    """What axe-core finds wrong with a page and the frames in it, a line each."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    found = []
    for frame in page.frames:
        frame.evaluate(script)
        for one in frame.evaluate("axe.run()")["violations"]:
            nodes = "; ".join(node["html"][:160] for node in one["nodes"][:3])
            found.append(f"{one['id']}: {one['help']}: {nodes}")
    return found


_MARK = """() => {
    const shown = [...document.querySelectorAll('a[href],button,input,select,summary,[tabindex="0"]')].filter(
        (one) => !one.disabled && one.checkVisibility({visibilityProperty: true}));
    shown.forEach((one, k) => { one.dataset.k = k; });
    return shown.map((one) => one.ariaLabel || one.name || one.textContent.trim().slice(0, 40));
}"""


def unreached(page: Any, most: int = 400) -> list[str]:
    """What can be used on a page and is not come to by Tab alone, within so many presses."""
    names = page.evaluate(_MARK)
    left = set(range(len(names)))
    page.evaluate("document.activeElement.blur()")
    for _ in range(most):
        page.keyboard.press("Tab")
        place = page.evaluate("document.activeElement.dataset.k ?? null")
        left -= set() if place is None else {int(place)}
        if not left:
            break
    return [names[place] for place in sorted(left)]


def screenshot(page: Any, name: str, *, whole: bool = True) -> None:
    """Leave a picture of a page in SCREENSHOTS."""
    SCREENSHOTS.mkdir(exist_ok=True)
    for frame in page.frames[1:]:  # a frame below the fold is not drawn yet
        frame.frame_element().scroll_into_view_if_needed()
    page.wait_for_timeout(_DRAWING)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)


def printed(page: Any, folder: Path) -> list[tuple[float, str]]:
    """A page printed on A4: of each sheet how far down its margins it is filled, 0 to 1, and its text."""
    from PIL import Image, ImageOps

    if shutil.which("pdftoppm") is None:
        pytest.skip("poppler is not installed")
    pdf = folder / "printed.pdf"
    page.pdf(path=pdf, format="A4", print_background=False)
    subprocess.run(["pdftoppm", "-r", "25", "-gray", "-png", pdf, folder / "sheet"], check=True)
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], check=True, capture_output=True, text=True)
    found = []
    for path, words in zip(sorted(folder.glob("sheet*.png")), text.stdout.split("\f"), strict=False):
        sheet = Image.open(path)
        box = ImageOps.invert(sheet).getbbox()
        margin = sheet.height * MARGIN / A4
        found.append((0.0 if box is None else (box[3] - margin) / (sheet.height - 2 * margin), words))
    return found
