"""The page as an app of its own: what a browser wants to know before it installs one."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page

from app.common.assets import COMMON
from tests.browser.app_server import ROOT, running_app

pytestmark = pytest.mark.browser


def test_chromium_would_install_it(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    manifest = devtools.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert json.loads(manifest["data"])["name"] == "LiteLlama Lab"
    errors = [error["errorId"] for error in devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]]
    assert [error for error in errors if error != "in-incognito"] == []  # which every page of a test is
    links = "[...document.querySelectorAll('link[rel=icon]')]"
    icons = page.evaluate(f"Promise.all({links}.map(async ({{ href }}) => (await fetch(href)).status))")
    assert icons
    assert set(icons) == {200}


def test_icons_are_as_large_as_the_manifest_says(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        told = client.get("/manifest.json")
        assert told.headers["content-type"] == "application/manifest+json"
        for icon in told.json()["icons"]:
            served = client.get(icon["src"])
            assert served.headers["content-type"] == icon["type"]
            if icon["type"] == "image/png":
                assert served.content.startswith(b"\x89PNG")
                assert "{}x{}".format(*struct.unpack(">II", served.content[16:24])) == icon["sizes"]
        assert client.get("/favicon.ico").content == (COMMON / "icon-192.png").read_bytes()


def test_a_class_shows_its_icon_to_everybody(tmp_path: Path) -> None:
    log, options = tmp_path / "log", ("--classroom", "--host", "127.0.0.1")
    with running_app(ROOT / "checkpoints" / "tinytown", log, *options) as address:
        school = address.removesuffix("teacher")
        for path in ("manifest.json", "favicon.ico", "views/icon.svg", "views/icon-192.png"):
            assert httpx.get(school + path).status_code == 200
        assert httpx.get(f"{school}views/chat.js").status_code == 401
