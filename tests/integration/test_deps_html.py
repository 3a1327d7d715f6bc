"""The page of `packager deps --format html`, in headless Chromium, with a mouse and a keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from packager.deps import html
from packager.deps.model import Graph, Module
from packager.deps.text import clean
from tests.deps import fake
from tests.deps.test_drawing import edge, file, graph
from tests.deps.test_html import hostile_graph
from tests.deps.test_show import FILES
from tests.integration import browser
from tests.integration.browser import Page
from tests.integration.conftest import BuiltBundle, packager


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests here."""
    if (reason := browser.missing()) is not None:
        pytest.skip(reason)
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle with one of each kind of trouble."""
    return fake.folder(tmp_path_factory.mktemp("tree"), FILES)


@pytest.fixture(scope="module")
def small(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of its page, which the command line has written."""
    path = tmp_path_factory.mktemp("page") / "deps.html"
    done = packager("deps", folder, "--format", "html", "--output", path)
    assert done.returncode == 1, done.stderr.decode()
    return path.as_uri()


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    """The browser, watched: nothing may go wrong in the page, and nothing but the page may be asked for."""
    chromium.open("about:blank")
    chromium.call("Emulation.setDeviceMetricsOverride", width=1500, height=900, deviceScaleFactor=1, mobile=False)
    chromium.events.clear()
    yield chromium
    requests = [event["request"]["url"].partition("#")[0] for event in chromium.of("Network.requestWillBeSent")]
    assert all(url.startswith("file://") and url.endswith(".html") for url in requests), requests
    for trouble in ("Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"):
        assert chromium.of(trouble) == []


def node(module: str) -> str:
    """The selector of a module's box."""
    return f".node[data-id={json.dumps(module)}]"


def written(given: Graph, path: Path) -> str:
    """The address of a graph's page."""
    path.write_bytes(html.page(given))
    return path.as_uri()


def test_the_root_is_shown_and_a_click_tells_why_a_dll_is_there(page: Page, small: str) -> None:
    page.open(small)
    assert page.text("h1") == "DLL dependencies of python.exe and 3 more"
    assert page.text(node("python.exe")) == "▶ python.exe"
    assert page.evaluate(f"document.querySelector('{node('python.exe')}').matches('.root:not(.far)')")
    x, y = page.middle(node("python.exe"))
    assert page.evaluate(f"document.elementFromPoint({x}, {y}).closest('.node').dataset.id") == "python.exe"

    page.click(node("windows:version.dll"))
    told = page.text("#panel")
    assert told.startswith("version.dll DLL of Windows Plantable")
    assert "Why it is there python.exe → python313.dll → version.dll" in told
    assert "Needed by 2 a.pyd DLLs/ delay-loads, 1 function" in told
    assert "a file of that name in ./ would be loaded instead for python313.dll" in told
    assert page.evaluate("document.querySelectorAll('.chosen').length") == 1
    assert page.evaluate("[...document.querySelectorAll('.node.up')].map(box => box.dataset.id).sort()") == [
        "DLLs/a.pyd",
        "python.exe",
        "python313.dll",
    ]

    page.click(".toggle")
    assert page.text("#panel li > ul") == "a.pyd DLLs/ imports, 2 functions python.exe imports, 2 functions"
    page.evaluate("history.back()")
    page.settle()
    assert page.text("#panel h2") == "Something is wrong"


def test_what_a_module_needs(page: Page, small: str) -> None:
    page.open(small)
    page.click(node("python313.dll"))
    told = page.text("#panel")
    assert "File python313.dll Machine x86_64 Found by application folder (for 2)" in told
    assert "What it needs 3 VERSION.dll, 1 function · System32 · plantable" in told
    assert "api-ms-win-crt-heap-l1-1-0.dll, 2 functions → ucrtbase.dll lacks no" in told
    assert "other.dll forwards to, 1 export" in told
    (red,) = page.evaluate(
        "[...document.querySelectorAll('#panel li .bad')].map(one => [one.textContent, getComputedStyle(one).color])"
    )
    assert red == ["lacks no", page.evaluate("getComputedStyle(document.querySelector('#verdict')).color")]
    page.click("#panel li:has(.bad) .count")
    shown = "[...document.querySelectorAll('.functions li')].map(one => [one.textContent, one.className])"
    assert page.evaluate(shown) == [["malloc", ""], ["no", "bad"]]
    page.click("#panel li:has(.bad) .count")
    assert page.evaluate(shown) == []
    page.click(node("DLLs/b.pyd"))
    assert "Names it may load at run time 2 plugin.dll not resolved ws2_32.dll → ws2_32.dll" in page.text("#panel")
    page.click(node("DLLs/broken.dll"))
    assert "Broken offset 0x0: expected a DOS header of 64 bytes" in page.text("#panel")


def test_an_address_chooses_as_a_click_does(page: Page, small: str) -> None:
    page.open(small)
    page.click(node("missing:gone.dll"))
    told = page.text("#panel")
    assert "Missing" in told
    assert page.evaluate("location.hash") == "#node=missing%3Agone.dll"
    page.open("about:blank")
    page.open(f"{small}#node={quote('missing:gone.dll', safe='')}")
    assert page.text("#panel") == told
    page.open(f"{small}#node=%E0%A4%A")
    assert page.text("#panel h2") == "Something is wrong"


def test_search(page: Page, small: str) -> None:
    page.open(small)
    page.press("/")
    page.type("GONE")
    count = page.evaluate("document.querySelectorAll('.node').length")
    assert page.text("#found") == f"1 of {count}"
    assert page.text("#panel") == "1 match gone.dll"
    assert page.evaluate("document.querySelectorAll('.node.other').length") == count - 1
    page.press("Enter", 13)
    assert page.text("#panel").startswith("gone.dll Missing")
    page.press("Escape", 27)
    assert page.evaluate("document.querySelectorAll('.node.other, .node.match').length") == 0
    # By the name of an API set the DLL is found that it stands for, by two words what has both.
    page.type("crt heap")
    assert page.evaluate("[...document.querySelectorAll('.node.match')].map(box => box.dataset.id)") == [
        "api-set:api-ms-win-crt-heap-l1-1-0.dll",
        "windows:ucrtbase.dll",
    ]
    page.type(" nowhere")
    assert page.text("#panel") == "Nothing is called so"
    page.press("Escape", 27)
    # By the whole name of a function what asks for it is found.
    page.type("VERQUERYVALUEW")
    assert page.text("#panel") == "2 matches a.pyd DLLs/ python313.dll"


def test_the_keyboard_alone(page: Page, small: str) -> None:
    page.open(small)
    focused = "document.activeElement.dataset.id ?? document.activeElement.id"
    page.press("/")
    for _ in range(20):
        page.press("Tab", 9)
        if page.evaluate(focused) == "python.exe":
            break
    assert page.evaluate(focused) == "python.exe"
    page.press("ArrowRight", 39)
    assert page.evaluate(focused).startswith("DLLs/")
    page.press("ArrowDown", 40)
    assert page.evaluate(focused).startswith("DLLs/")
    page.press("ArrowLeft", 37)
    assert page.evaluate(focused) == "python.exe"
    page.press("Enter", 13)
    assert page.text("#panel").startswith("python.exe Program Root")
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.closest('#canvas, #panel') !== null"), "the boxes are one stop"
    page.press("Escape", 27)
    assert page.text("#panel h2") == "Something is wrong"


def test_kinds_can_be_hidden(page: Page, small: str) -> None:
    page.open(small)
    drawn = (
        "[...document.querySelectorAll('.lines path')].map(path => path.getAttribute('d')).join('').split('M').length"
    )
    before = page.evaluate(drawn)
    page.click("#legend .api-set")
    assert page.evaluate("document.querySelector('#legend .api-set').ariaPressed") == "false"
    assert (
        page.evaluate(f"document.querySelector('{node('api-set:api-ms-win-crt-heap-l1-1-0.dll')}').checkVisibility()")
        is False
    )
    assert page.evaluate(drawn) == before - 1, "the line goes to the host now, not through the API set"
    page.click("#legend .windows")
    assert page.evaluate(drawn) < before - 2
    page.click("#legend .windows")
    page.click("#legend .api-set")
    assert page.evaluate(drawn) == before


def test_zoom_and_pan(page: Page, small: str) -> None:
    page.open(small)
    place = "document.querySelector('#world').style.transform"
    start = page.evaluate(place)
    page.click("#larger")
    larger = page.evaluate(place)
    assert larger != start
    x, y = page.middle("#canvas")
    page.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=200)
    page.settle()
    assert page.evaluate(place) != larger
    page.click("#fit")
    assert page.evaluate(place) == start
    for kind, step in (("mousePressed", 0), ("mouseMoved", 40), ("mouseReleased", 40)):
        page.call(
            "Input.dispatchMouseEvent", type=kind, x=x + step, y=200 + step, button="left", buttons=1, clickCount=1
        )
    page.settle()
    assert page.evaluate(place) != start


def test_light_and_dark(page: Page, small: str) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.open("about:blank")
        page.open(small)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(25, 30, 39)"]
    page.call("Emulation.setEmulatedMedia", features=[])


def test_hostile_names_are_text(page: Page, tmp_path: Path) -> None:
    hostile = hostile_graph()
    page.open(written(hostile, tmp_path / "hostile.html"))
    for module in hostile.modules:
        page.evaluate(f"location.hash = 'node=' + encodeURIComponent({json.dumps(module.id)})")
        page.settle()
        assert page.evaluate("document.querySelector('#about').textContent") == clean(module.name)
        shown = page.evaluate("document.body.innerText")
        assert not {char for char in "\u2028\u2029\u202e" if char in shown}
    assert page.evaluate("document.querySelectorAll('img, script:not([type]), h1 h1').length") == 1, "its own script"


def test_hundreds_of_modules(page: Page, tmp_path: Path) -> None:
    roots = [file(f"site/{number % 40}/m{number:03}.pyd", root=True) for number in range(600)]
    hosts = [Module(f"windows:w{number}.dll", f"w{number}.dll", "windows") for number in range(20)]
    edges = [edge(root.id, host.id) for number, root in enumerate(roots) for host in hosts if number % 3]
    page.open(written(graph([*roots, *hosts], edges), tmp_path / "many.html"))
    assert page.evaluate("document.querySelectorAll('.node').length") == 620
    page.press("/")
    page.type("m451")
    page.press("Enter", 13)
    assert page.text("#panel h2") == "m451.pyd"
    x, y = page.middle(node("site/11/m451.pyd"))
    assert page.evaluate(f"document.elementFromPoint({x}, {y}).closest('.node').dataset.id") == "site/11/m451.pyd"
    page.press("Escape", 27)
    page.evaluate("location.hash = 'node=windows%3Aw7.dll'")
    page.settle()
    assert "400 roots of 600 lead to it." in page.text("#panel")
    assert page.text("#panel ul + .more") == "and 388 more"
    page.click("#panel ul + .more")
    assert page.evaluate("document.querySelectorAll('#panel > div > ul > li').length") == 400


def test_a_real_bundle(page: Page, bundle: BuiltBundle, tmp_path: Path) -> None:
    path = tmp_path / "bundle.html"
    done = packager("deps", bundle.folder, "--format", "html", "--output", path)
    assert done.returncode == 0, done.stderr.decode()
    page.open(path.as_uri())
    assert page.text("#verdict") == "no errors"
    python = node(bundle.layout.place("python/python.exe"))
    assert page.evaluate(f"document.querySelector('{python}').matches('.root')")
    page.click(node("windows:version.dll"))
    assert "Why it is there python.exe → python313.dll → version.dll" in page.text("#panel")


def test_a_request_would_be_seen_and_is_refused(chromium: Page, small: str) -> None:
    """What the other tests rest on: a page that asks for something is noticed, and this one is not let."""
    fetch = "fetch('http://192.0.2.1/x').then(() => 'there', error => error.name)"
    chromium.open("about:blank")
    chromium.events.clear()
    assert chromium.evaluate(fetch) == "TypeError"
    assert [event["request"]["url"] for event in chromium.of("Network.requestWillBeSent")] == ["http://192.0.2.1/x"]
    (failed,) = chromium.of("Network.loadingFailed")
    assert failed["errorText"].startswith("net::ERR_")

    chromium.open(small)
    chromium.events.clear()
    chromium.evaluate(
        "window.refused = []; addEventListener('securitypolicyviolation', one => refused.push(one.effectiveDirective)); 0"
    )
    assert chromium.evaluate(fetch) == "TypeError"
    image = "new Promise(done => { const one = new Image(); one.onerror = () => done('refused'); one.src = 'http://192.0.2.1/y'; })"
    assert chromium.evaluate(image) == "refused"
    markup = "try { document.body.innerHTML = '<b>x</b>'; 'done' } catch (error) { error.name }"
    assert chromium.evaluate(markup) == "TypeError"
    script = "document.head.append(Object.assign(document.createElement('style'), { textContent: 'body { color: red }' })); 0"
    chromium.evaluate(script)
    chromium.settle()
    assert chromium.evaluate("refused") == ["connect-src", "img-src", "require-trusted-types-for", "style-src-elem"]
    assert not [
        event for event in chromium.of("Network.responseReceived") if not event["response"]["url"].startswith("file:")
    ]
