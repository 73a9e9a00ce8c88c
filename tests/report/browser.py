"""A headless Chromium that is spoken to over a pipe, so that a test waits for what it needs and for nothing else."""

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
PATIENCE = 100.0
"""Seconds after which something is taken never to happen."""
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-extensions"),
)


@dataclass
class Tab:
    """An open page. ``complaints`` are what its console, its log and its scripts have said."""

    commands: int
    answers: int
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    _count: int = 0
    _read: bytes = b""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command of the DevTools protocol and take its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        os.write(
            self.commands, json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0"
        )
        while True:
            answer = self._next(method)
            self._listen(answer)
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def evaluate(self, script: str) -> Any:
        """The value of a script, awaited if it is a promise."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a script's value is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never true: {condition}; the page said {self.complaints}"
            select.select([], [], [], 0.05)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self, method: str) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE)
            assert ready, f"no answer to {method}"
            chunk = os.read(self.answers, 1 << 20)
            assert chunk, f"the browser ended at {method}"
            self._read += chunk
        text, _, self._read = self._read.partition(b"\0")
        return json.loads(text)

    def _listen(self, event: dict[str, Any]) -> None:
        if event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(event["params"]))


@contextmanager
def opened(page: Path, *, width: int = 1280, height: int = 2400, dark: bool = False) -> Iterator[Tab]:
    """A page in a browser of its own, loaded; how fast it is drawn is up to its scripts."""
    assert CHROMIUM is not None
    (theirs_in, commands), (answers, theirs_out) = os.pipe(), os.pipe()
    profile = page.with_name("browser-profile")
    shell = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    process = subprocess.Popen(
        ["bash", "-c", shell, CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield _navigated(Tab(commands, answers), page, width=width, height=height, dark=dark)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(commands)
        os.close(answers)


def _navigated(tab: Tab, page: Path, *, width: int, height: int, dark: bool) -> Tab:
    target = tab.call("Target.createTarget", url="about:blank")["targetId"]
    tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Runtime", "Log", "Page"):
        tab.call(f"{domain}.enable")
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    tab.call("Emulation.setEmulatedMedia", features=[scheme])
    tab.call("Page.navigate", url=page.as_uri())
    tab.wait_for("location.protocol === 'file:' && document.readyState === 'complete'")
    return tab
