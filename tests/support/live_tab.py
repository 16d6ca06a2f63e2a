"""The page of a run in a tab of a browser."""

from contextlib import contextmanager

from selenium.webdriver.common.by import By

from live_run import running, until


class Tab:
    """A tab with the page of a run."""

    def __init__(self, browser, link, new=False):
        self.browser = browser
        if new:
            browser.switch_to.new_window("tab")
        else:
            browser.get("about:blank")
        browser.get(link)
        self.handle = browser.current_window_handle

    def here(self):
        self.browser.switch_to.window(self.handle)
        return self

    def part(self, name):
        return self.browser.find_element(By.CSS_SELECTOR, f'[data-part="{name}"]')

    def text(self, name):
        return self.part(name).get_attribute("textContent").strip()

    def status(self):
        return self.part("status").get_attribute("data-status")

    def js(self, code, *arguments):
        return self.browser.execute_script(f"const view = document.body.learnrate; {code}", *arguments)

    def count(self):
        text = self.text("update").replace(",", "")
        return int(text) if text.isdecimal() else -1

    def ready(self):
        until(lambda: self.js("return Boolean(view?.panes.series && view.panes.plan)"))
        return self

    def message(self, word):
        return until(lambda: word in self.text("message") and self.text("message"))

    def write(self, name, text):
        field = self.part(name)
        field.clear()
        field.send_keys(text)


@contextmanager
def opened(browser, page=True, **settings):
    with running(page, **settings) as run:
        run.steps(300).start()
        yield run, Tab(browser, run.page.link).ready()
        browser.get_log("browser")


def errors_of(browser):
    """What the console has, without the failures of requests that a test caused by closing the server."""
    return [entry["message"] for entry in browser.get_log("browser") if "ERR_" not in entry["message"]]


def number_in(text):
    return int("".join(character for character in text if character.isdecimal()))
