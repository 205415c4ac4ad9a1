"""What keeps people out of a view, at both widths and in both schemes: barriers, and what is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.browser import Page

SIZES = {"wide": (1440, 900), "phone": (390, 844)}
_WIDER = """
const inside = '.strip, .chips, .head-views, .segments, .groups, .pane, .live, .out, .skip, ' +
  '.grid, .canvas, .stacks-row, .wide';
return [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() && !one.closest(inside)
  && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 160))
  .concat(document.scrollingElement.scrollWidth > innerWidth ? ['the page scrolls sideways'] : [])"""


def check_everywhere(page: Page, axe: str, name: str, prepare: str = "") -> None:
    """Look at what is shown now in four variants, with a screenshot of each; fails with what is wrong with it.

    `prepare` is a selector that has to be there before each look.
    """
    found = {}
    for size, pixels in SIZES.items():
        for dark in (False, True):
            page.resize(pixels, dark=dark)
            if prepare:
                page.one(prepare)
            page.still()
            variant = f"{name}-{size}-{'dark' if dark else 'light'}"
            page.picture(variant)
            wrong = [*_violations(page, axe), *cut_off(page)]
            if wrong:
                found[variant] = wrong
    page.resize(SIZES["wide"])
    assert found == {}, found


def cut_off(page: Page) -> list[str]:
    """What reaches beyond the right edge, apart from what scrolls by itself."""
    found: list[str] = page.driver.execute_script(_WIDER)
    return found


def _violations(page: Page, axe: str) -> list[object]:
    page.driver.execute_script(axe)
    found = page.driver.execute_async_script(
        "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => arguments[0](violations))"
    )
    return [
        (one["id"], node["html"][:200], node["failureSummary"])
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
