"""Draw the pictures of docs/live-page.md: a real training on handwritten digits that is changed while it runs.

python docs/live_picture.py
"""

import argparse
import sys
import threading
import time
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "tests" / "support")]

import torch  # noqa: E402
from selenium.webdriver import ActionChains  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

import learnrate as lr  # noqa: E402
from chromium import started  # noqa: E402
from learnrate.control import Control, Observation, Page, Scale, Undo  # noqa: E402
from learnrate.control.running import begin  # noqa: E402

UPDATES = 3000
CHANGES = {700: (Scale(0.3), "the loss jumps about"), 1200: (Undo(), ""), 1750: (Scale(0.5), "hardly anything is gained")}
PAUSED = 2100
"""The update at which the pictures are taken."""


class Training:
    """A small network on the digits of scikit-learn, whose LR follows a control."""

    def __init__(self, control: Control) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        inputs, targets = (torch.tensor(array) for array in load_digits(return_X_y=True))
        wrong = torch.rand(len(targets)) < 0.15  # so that there is a noise to see
        self.inputs, self.targets = inputs.float() / 16, torch.where(wrong, torch.randint(0, 10, targets.shape), targets)
        self.model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.control = control

    def loss(self, rows: Any) -> torch.Tensor:
        """Of some of the digits."""
        return torch.nn.functional.cross_entropy(self.model(self.inputs[rows]), self.targets[rows])

    def update(self, n: int) -> None:
        """One update, observed as an adapter does it."""
        self.optimizer.param_groups[0]["lr"] = used = self.control.schedules[0](n)
        self.optimizer.zero_grad()
        loss = self.loss(torch.randint(0, 1400, (32,)))
        loss.backward()
        norm = torch.nn.utils.get_total_norm(
            [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        )
        self.optimizer.step()
        self.control.observe(Observation(n, used, loss=loss.item(), gradient_norm=norm.item()))
        if n % 60 == 59:
            with torch.no_grad():
                right = self.model(self.inputs[1400:]).argmax(1) == self.targets[1400:]
            self.control.observe(Observation(n, used, metrics={"accuracy": right.float().mean().item()}))
        self.control.settle(n + 1)


def main() -> None:
    """Train, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    out = parser.parse_args().out
    control = begin([lr.warmup(0.3, 200) >> lr.cosine(0.3, 0.0, UPDATES - 200)], page=Page(title="Digits, 64-64-10"))
    page: Any = control.listeners[0]
    training = Training(control)
    for n in range(PAUSED):
        if n in CHANGES:
            control.request(*CHANGES[n])
        training.update(n)
    ended = threading.Event()
    going = threading.Thread(target=go_on, args=(training, ended))
    going.start()
    with started("hide-scrollbars", "force-device-scale-factor=1") as browser:
        for name, width, height, theme in (
            ("", 1440, 1290, "light"),
            ("-dark", 1440, 1290, "dark"),
            ("-phone", 390, 1250, "light"),
        ):
            take(browser, page.link, out / f"live-page{name}.png", width, height, theme)
    ended.set()
    going.join()
    page.stop()


def go_on(training: Training, ended: threading.Event) -> None:
    """Train slowly while the pictures are taken."""
    for n in range(PAUSED, UPDATES):
        if ended.wait(0.04):
            return
        training.update(n)


def take(browser: Any, link: str, path: Path, width: int, height: int, theme: str) -> None:
    """One picture."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get("about:blank")
    browser.get(link)
    time.sleep(2.5)
    if width > 500:
        field = browser.find_element("css selector", '[data-part="schedule"]')
        field.send_keys("one_minus_sqrt(0.15, 0, 'rest')")
        time.sleep(1)
        x = browser.execute_script(
            "const v = document.body.learnrate; return v.panes.panes.get('lr').chart.x(v.events[0].update)"
        )
        canvas = browser.find_element("css selector", ".canvases")
        ActionChains(browser).move_to_element_with_offset(canvas, round(x - canvas.size["width"] / 2), 30).perform()
        time.sleep(0.5)
    browser.save_screenshot(str(path))
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
