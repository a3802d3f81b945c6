"""Make the app's icons of `app/common/icon.svg` anew: `python -m tests.tools.icons`. Needs Chromium."""

from __future__ import annotations

from playwright.sync_api import sync_playwright

from app.common.assets import COMMON
from tests.browser.chromium import CHROMIUM, QUIET

# A maskable icon may be cut to a circle of four fifths of its width, so the llama is smaller and the ground full.
ICONS = {"icon-192.png": (192, 1.0), "icon-512.png": (512, 1.0), "icon-maskable.png": (512, 0.8)}


def main() -> None:
    drawing = (COMMON / "icon.svg").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for name, (size, share) in ICONS.items():
            page = browser.new_page(viewport={"width": size, "height": size})
            ground = "transparent" if share == 1 else "#0f6b60"
            page.set_content(
                f"<style>body{{margin:0;background:{ground};display:grid;place-items:end center;height:{size}px}}"
                f"svg{{width:{size * share}px;height:{size * share}px}}</style>{drawing}"
            )
            page.screenshot(path=COMMON / name, omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
