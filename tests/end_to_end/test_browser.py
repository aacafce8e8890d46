"""A learner's first minutes: JupyterLab in a real browser, the first notebook opened, all its cells run."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt install chromium)")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
KERNEL_IS_IDLE = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.sessionContext?.session;
    return session?.kernel?.connectionStatus === 'connected' && session.kernel.status === 'idle';
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(w => w.model.type === 'code')
    .map(w => ({count: w.model.executionCount, outputs: w.model.outputs.toJSON()}))"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab on a copy of the first notebook, so that the course's own stays as it is."""
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", tmp_path)
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
    command += ["--IdentityProvider.token=t", "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={tmp_path}"]
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTER_PLATFORM_DIRS": "1"}
    with (
        Path(tmp_path, "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as server,
    ):
        try:
            deadline = time.monotonic() + 90
            while not re.search(r"Jupyter Server .* is running at", Path(tmp_path, "log").read_text()):
                assert server.poll() is None and time.monotonic() < deadline, Path(tmp_path, "log").read_text()[-2000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/lab/tree/00_start_here.ipynb?token=t"
        finally:
            server.terminate()


def test_run_all_in_jupyterlab(lab):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.goto(lab)
        page.wait_for_function(KERNEL_IS_IDLE, timeout=120_000)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        deadline = time.monotonic() + 400
        while True:
            cells = page.evaluate(CELLS)
            errors = [o for c in cells for o in c["outputs"] if o["output_type"] == "error"]
            assert not errors, errors[0]["evalue"]
            if all(c["count"] for c in cells) and page.evaluate(KERNEL_IS_IDLE):
                break
            assert time.monotonic() < deadline, f"only {sum(bool(c['count']) for c in cells)} of {len(cells)} cells ran"
            time.sleep(1)
        if folder := os.environ.get("RAG_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "00_start_here.png")
        text = page.inner_text("body")
        browser.close()
    assert len(cells) >= 15
    assert "Valentina Tereshkova" in text or any("Tereshkova" in str(c["outputs"]) for c in cells)
