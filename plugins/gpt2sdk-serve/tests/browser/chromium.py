"""Chromium without a window, driven over the pipe that it offers: no driver has to be installed."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 30.0
_KEYS: Mapping[str, tuple[int, str]] = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    " ": (32, " "),
    "End": (35, ""),
    "Home": (36, ""),
    "ArrowLeft": (37, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
}
_MODIFIERS = {"Alt": 1, "Control": 2, "Shift": 8}


def path_of_chromium() -> str | None:
    """Where a Chromium is; `None` where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """A page in a browser.

    Attributes:
        requests: Every URL that the page asked for.
        complaints: What its console and its scripts complained about.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest, self._count, self._session = b"", 0, ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Have the browser do something, and return what it answers.

        Raises:
            RuntimeError: It cannot.
        """
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                found: dict[str, Any] = answer["result"]
                return found
            self._note(answer)

    def open(self, url: str) -> None:
        """Open a page anew, and wait until it is ready."""
        self.requests.clear()
        self.complaints.clear()
        self.ask("Page.navigate", url=url)
        self.wait("document.body?.dataset.ready")

    def run(self, script: str) -> Any:
        """Return what a script's last expression gives, once it is there."""
        result = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true, and return it.

        Raises:
            TimeoutError: It does not become true.
        """
        until = time.monotonic() + PATIENCE
        while not (found := self.run(script)):
            if time.monotonic() > until:
                raise TimeoutError(f"{script} is still not so; the page said {self.complaints}")
            time.sleep(0.02)
        return found

    def press(self, key: str, *modifiers: str) -> None:
        """Press a key and let it go."""
        code, text = _KEYS[key]
        held = sum(_MODIFIERS[each] for each in modifiers)
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": held}
        down = {"type": "keyDown", "text": text} if text and not held else {"type": "rawKeyDown"}
        self.ask("Input.dispatchKeyEvent", **about, **down)
        self.ask("Input.dispatchKeyEvent", **about, type="keyUp")

    def write(self, text: str) -> None:
        """Write a text where the focus is."""
        self.ask("Input.insertText", text=text)

    def point(self, selector: str) -> None:
        """Move the pointer onto an element."""
        x, y = self.run(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)});"
            "found.scrollIntoView({block: 'center'});"
            "const box = found.getClientRects()[0];"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def show(self, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Give the page so many pixels, and a preference for light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", features=wanted)

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        self.ask("Browser.close")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], PATIENCE)[0]:
                message = "the browser does not answer"
                raise TimeoutError(message)
            found = os.read(self._from, 1 << 20)
            if not found:
                message = "the browser ended"
                raise EOFError(message)
            self._rest += found
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _note(self, event: Mapping[str, Any]) -> None:
        about = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(about["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if about["type"] in ("error", "warning"):
                self.complaints.append(json.dumps(about["args"]))
            case "Log.entryAdded" if about["entry"]["level"] in ("error", "warning"):
                self.complaints.append(about["entry"]["text"])


@contextmanager
def chromium(path: str, folder: Path) -> Iterator[Chromium]:
    """Run a Chromium with a profile of its own.

    Args:
        path: Where it is.
        folder: An empty folder for its profile.
    """
    (theirs_in, to_browser), (from_browser, theirs_out) = os.pipe(), os.pipe()
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    # It reads file descriptor 3 and writes 4, whatever ours are.
    command = 'exec "$0" "$@" 3<&"$THEIRS_IN" 4>&"$THEIRS_OUT"'
    process = subprocess.Popen(
        ["bash", "-c", command, path, *flags],
        pass_fds=(theirs_in, theirs_out),
        env=os.environ | {"THEIRS_IN": str(theirs_in), "THEIRS_OUT": str(theirs_out)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Chromium(to_browser, from_browser)
        yield page
        page.close()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)
