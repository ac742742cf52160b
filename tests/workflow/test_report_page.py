"""The report in a real browser: nothing fails to load, nothing is logged, every figure is visible."""

import json
import shutil

import pytest

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402

pytestmark = [
    pytest.mark.xdist_group("workflow"),
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="needs chromium and chromedriver (Debian: apt install chromium chromium-driver)",
    ),
]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1100,900",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(finished, browser, tmp_path_factory):
    """The report, moved away from its folder, so that it must stand alone."""
    alone = tmp_path_factory.mktemp("alone") / "report.html"
    shutil.copy(finished.folder / "results/tiny/report/report.html", alone)
    browser.get(alone.as_uri())
    return browser


def test_the_page_asks_for_nothing_but_itself(page):
    """No request leaves the page, none fails, and the console stays empty."""
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    own = [request for request in sent if request["documentURL"] == page.current_url]  # not the browser's
    assert own
    away = [r["request"]["url"] for r in own if not r["request"]["url"].startswith(("file:", "data:"))]
    assert away == []
    failed = {m["params"]["requestId"] for m in messages if m["method"] == "Network.loadingFailed"}
    assert failed.isdisjoint(request["requestId"] for request in own)
    assert page.get_log("browser") == []


def test_every_figure_is_visible(page):
    """Each figure has a drawing with a size, inside the page's width."""
    drawings = page.find_elements("css selector", "figure svg")
    assert len(drawings) == len(page.find_elements("css selector", "figure")) >= 4 + 2
    for drawing in drawings:
        assert drawing.is_displayed()
        assert drawing.size["width"] > 200 and drawing.size["height"] > 50
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_the_verdicts_stand_first_and_in_words(page):
    """The first list of the page says, for each strategy, what it does to the score."""
    words = [item.text for item in page.find_elements("css selector", "ul.verdicts li")]
    assert len(words) == 3
    assert words[0].startswith("from-shards makes no difference against baseline: Dice")
