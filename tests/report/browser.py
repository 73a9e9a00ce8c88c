"""A headless Chromium for tests, spoken to over a pipe: it waits for what a page does, and for all of it at most so long."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
PATIENCE = 45.0
"""Seconds from its start after which a browser is given up and killed, whatever it does."""
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-extensions"),
)
# The browser reads commands from descriptor 3 and writes answers to 4; these are our pipes to its input and output.
_START = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null'


@dataclass
class Tab:
    """An open page; after ``deadline``, on the monotonic clock, nothing is waited for. ``complaints`` are what its console,
    its log and its scripts have said, ``requests`` the addresses of what it asked for outside itself, its own the first."""

    browser: subprocess.Popen[bytes]
    deadline: float
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _count: int = 0
    _read: bytes = b""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command of the DevTools protocol and take its answer."""
        assert self.browser.stdin
        self._count += 1
        command = {"id": self._count, "method": method, "params": params}
        place = {"sessionId": self.session} if self.session else {}
        with suppress(BrokenPipeError):  # what has ended gives no answer either, which is told below
            self.browser.stdin.write(json.dumps(command | place).encode() + b"\0")
            self.browser.stdin.flush()
        while (answer := self._next(command)).get("id") != self._count:
            self._listen(answer)
        assert "error" not in answer, (command, answer)
        return answer["result"]

    def evaluate(self, script: str) -> Any:
        """The value of a script, awaited if it is a promise."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, (script, found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, condition: str) -> float:
        """Wait until a script's value is true, which is looked at in every frame; seconds since the page was asked for."""
        look = f"const look = () => ({condition}) ? done(performance.now() / 1e3) : requestAnimationFrame(look)"
        return self.evaluate(f"new Promise((done) => {{ {look}; look(); }})")

    def picture(self, file: Path) -> Path:
        """Write the whole page, also what lies below the window, as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        seen = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "scale": 1})
        file.write_bytes(base64.b64decode(seen["data"]))
        return file

    def _next(self, command: dict[str, Any]) -> dict[str, Any]:
        """The next message, an answer or an event."""
        assert self.browser.stdout
        source = self.browser.stdout.fileno()
        while b"\0" not in self._read:
            ready, _, _ = select.select([source], [], [], max(0.0, self.deadline - time.monotonic()))
            assert ready, f"Chromium did not answer in time: {command}; the page said {self.complaints}"
            chunk = os.read(source, 1 << 20)
            assert chunk, f"Chromium ended at {command}"
            self._read += chunk
        text, _, self._read = self._read.partition(b"\0")
        return json.loads(text)

    def _listen(self, event: dict[str, Any]) -> None:
        if event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(event["params"]))
        elif event["method"] == "Network.requestWillBeSent":
            address = event["params"]["request"]["url"]
            self.requests += [] if address.startswith(("data:", "blob:")) else [address]


@contextmanager
def opened(page: Path, *, width: int = 1280, height: int = 1000, dark: bool = False) -> Iterator[Tab]:
    """A page in a browser of its own, loaded; how far it is drawn is up to its scripts. The browser never outlives this."""
    assert CHROMIUM is not None
    browser = subprocess.Popen(
        [
            "sh",
            "-c",
            _START,
            CHROMIUM,
            *_OPTIONS,
            f"--user-data-dir={page.with_name('browser-profile')}",
            "about:blank",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield _navigated(Tab(browser, time.monotonic() + PATIENCE), page, width=width, height=height, dark=dark)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        browser.wait(timeout=10)
        for pipe in (browser.stdin, browser.stdout):
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]


def _navigated(tab: Tab, page: Path, *, width: int, height: int, dark: bool) -> Tab:
    target = tab.call("Target.createTarget", url="about:blank")["targetId"]
    tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Runtime", "Log", "Network", "Page"):
        tab.call(f"{domain}.enable")
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    tab.call("Emulation.setEmulatedMedia", features=[scheme])
    tab.call("Page.navigate", url=page.as_uri())
    tab.wait_for("document.readyState === 'complete'")
    return tab
