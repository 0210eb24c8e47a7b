"""Reading the book asks no other host for anything: by its files, and by a browser's own log."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.support.html_elements import elements

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
LOADING_LINKS = {
    "stylesheet", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "icon",
    "apple-touch-icon", "mask-icon", "manifest", "shortcut",
}  # fmt: skip
LOADING_ATTRIBUTES = {
    "src", "srcset", "poster", "data", "background", "xlink:href", "action",
}  # fmt: skip
CSS_LOAD = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])([^'")\s]+)""")
IN_SCRIPT = re.compile(r"""['"`]((?:https?:)?//[\w.-]+\.\w+[^'"`\s]*)""")
IN_SRCSET = re.compile(r"(\S*[^\s,])(?:\s+[^,]*)?(?:,|$)")  # a data: address has a comma inside
NAMESPACE = "http://www.w3.org/"
CDN = re.compile(
    r"unpkg\.com|cdnjs\.cloudflare|jsdelivr|googleapis|gstatic|googletagmanager|fontawesome\.com/releases"
    r"|hypothes\.is|utteranc\.es|dokie\.li|plausible\.io|mybinder\.org|bootstrapcdn|code\.jquery"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def is_remote(url: str) -> bool:
    """Whether loading `url` from a page would leave the book."""
    return bool(re.match(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", url, re.I)) and not url.startswith(
        "file:"
    )


def loads(text: str) -> list[str]:
    """What a page loads while it is read; a plain link loads nothing."""
    urls = []
    for element in elements(text):
        attributes = element.attributes
        for name in sorted(LOADING_ATTRIBUTES & set(attributes)):
            if name == "srcset":
                urls += IN_SRCSET.findall(attributes[name])
            else:  # `action` is that of the search form, harmless while it stays in the book
                urls.append(attributes[name])
        if element.tag == "link" and LOADING_LINKS & set(attributes.get("rel", "").lower().split()):
            urls.append(attributes.get("href", ""))
        if element.tag in ("use", "image"):
            urls.append(attributes.get("href", ""))
        if element.tag == "meta" and attributes.get("http-equiv", "").lower() == "refresh":
            urls.append(attributes.get("content", "").partition("=")[2])
        urls += CSS_LOAD.findall(attributes.get("style", ""))
        if element.tag == "style":
            urls += CSS_LOAD.findall(element.text)
    return urls


def remote_loads(text: str) -> list[str]:
    """Every address of another host that a page would load, inline scripts included."""
    found = [url for url in loads(text) if is_remote(url)]
    for script in [element.text for element in elements(text) if element.tag == "script"]:
        found += [url for url in IN_SCRIPT.findall(script) if not url.startswith(NAMESPACE)]
    return found


def pages() -> list[Path]:
    """Every page of the book, whether or not there is a browser to open it with."""
    found = sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts)  # not templates
    if not found:
        pytest.skip("the book is not built here: make book")
    return found


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example.org/a.js"></script>',
        '<script src="//cdn.example.org/a.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example.org/css">',
        '<link rel="preconnect" href="https://fonts.example.org">',
        '<link rel="shortcut icon" href="http://example.org/i.png">',
        '<img src="https://example.org/i.png">',
        '<img srcset="a.png 1x, https://example.org/b.png 2x">',
        '<source srcset="https://example.org/b.png, a.png">',
        '<iframe src="https://example.org"></iframe>',
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background: url(https://example.org/a.png)">',
        '<script>const THEBE_JS_URL = "https://unpkg.com/thebe/lib/index.js"</script>',
        "<script>s.src = '//example.org/a.js'</script>",
        '<meta http-equiv="Refresh" content="0; url=https://example.org" />',
        '<svg><use xlink:href="https://example.org/a.svg#b"></use></svg>',
    ],
)
def test_the_finder_finds_a_load_from_another_host(text):
    assert len(remote_loads(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://example.org">a link is no load</a>',
        '<link rel="next" href="https://example.org">',
        '<script src="_static/a.js"></script><img src="data:image/png;base64,//8">',
        '<source srcset="data:image/png;base64,//8= 2x, a.png">',
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        '<script>var n = "http://www.w3.org/2000/svg"; // https is only in this comment</script>',
    ],
)
def test_the_finder_lets_the_rest_pass(text):
    assert remote_loads(text) == []


def test_no_page_loads_from_another_host():
    found = {str(p.relative_to(HTML)): remote_loads(p.read_text("utf-8")) for p in pages()}
    assert {name: urls for name, urls in found.items() if urls} == {}


def test_every_file_that_a_page_loads_is_in_the_book():
    missing = set()
    for page in pages():
        for url in loads(page.read_text(encoding="utf-8")):
            path = unquote(urlsplit(url).path)
            if urlsplit(url).scheme in ("", "file") and path:
                target = page.parent / path
                missing |= set() if target.exists() else {f"{page.relative_to(HTML)}: {url}"}
    assert missing == set()


def test_no_stylesheet_loads_from_another_host():
    pages()
    found = {}
    for path in HTML.rglob("*.css"):
        urls = CSS_LOAD.findall(path.read_text(encoding="utf-8", errors="replace"))
        if remote := [url for url in urls if is_remote(url)]:
            found[str(path.relative_to(HTML))] = remote
    assert found == {}


def test_no_script_that_a_page_loads_knows_a_delivery_network():
    """MathJax is left out: it names one for speech in old browsers; the browser's log covers it."""
    scripts = {
        (page.parent / urlsplit(url).path).resolve()
        for page in pages()
        for url in loads(page.read_text(encoding="utf-8"))
        if urlsplit(url).path.endswith(".js") and "mathjax" not in url
    }
    assert scripts
    found = {s.name: CDN.findall(s.read_text("utf-8", "replace")) for s in scripts}
    assert {name: hosts for name, hosts in found.items() if hosts} == {}


def test_the_math_fonts_are_in_the_book():
    pages()
    fonts = list((HTML / "_static" / "mathjax").rglob("*.woff"))
    assert any("MathJax_Main-Regular" in font.name for font in fonts)


def test_a_page_with_formulas_has_their_renderer_in_the_book():
    """What can be said of formulas without a browser."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if formulas(text):
            scripts = [page.parent / urlsplit(url).path for url in loads(text) if "mathjax" in url]
            assert scripts, page.name
            assert all(script.is_file() for script in scripts), page.name


def test_the_files_are_checked_where_there_is_no_browser(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "CHROMIUM", None)
    monkeypatch.setitem(globals(), "HTML", tmp_path)
    page = tmp_path / "chapters" / "a.html"
    page.parent.mkdir()
    page.write_text('<script src="https://cdn.example.org/a.js"></script>', encoding="utf-8")
    with pytest.raises(AssertionError, match="cdn.example.org"):
        test_no_page_loads_from_another_host()
    with pytest.raises(pytest.skip.Exception, match="only their files"):
        visit(page.as_uri(), tmp_path)


# --- In a browser that can reach nobody ---------------------------------------------------


def toc_pages() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


def visit(url: str, folder: Path) -> tuple[str, list[str]]:
    """Open `url` with every name unresolvable; return the page's tree and whom it asked.

    The browser's own housekeeping has no page as its initiator and is left out.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH to open pages with: only their files were checked")
    log = folder / "net.json"
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-default-apps",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}",
            "--virtual-time-budget=20000", "--dump-dom", url,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    net = json.loads(log.read_text(encoding="utf-8"))
    start = net["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    requests = [e["params"] for e in net["events"] if e["type"] == start and "params" in e]
    asked = [r["url"] for r in requests if r.get("initiator", "not an origin") != "not an origin"]
    return done.stdout, [url for url in asked if urlsplit(url).hostname != "127.0.0.1"]


def formulas(text: str) -> int:
    return len(re.findall(r'class="(?:amsmath )?math notranslate nohighlight', text))


def assert_rendered(tree: str, source: str) -> None:
    assert tree.count("<mjx-container") >= formulas(source)
    assert "<mjx-merror" not in tree  # a formula that MathJax could not read


def test_the_log_shows_a_page_that_asks_another_host(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        '<script src="https://cdn.example.org/a.js"></script><p>here</p>'
        "<script>fetch('https://api.example.org/b').catch(() => 0)</script>",
        encoding="utf-8",
    )
    tree, asked = visit(page.as_uri(), tmp_path)
    assert "<p>here</p>" in tree
    assert {urlsplit(url).hostname for url in asked} == {"cdn.example.org", "api.example.org"}


@pytest.mark.parametrize("name", toc_pages())
def test_a_page_read_from_disk_asks_nobody_and_shows_its_formulas(name, tmp_path):
    pages()
    path = HTML / f"{name}.html"
    tree, asked = visit(path.as_uri(), tmp_path)
    assert asked == []
    assert_rendered(tree, path.read_text(encoding="utf-8"))


def test_the_pages_together_hold_formulas_to_show():
    assert sum(formulas(page.read_text(encoding="utf-8")) for page in pages()) > 20


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def served():
    handler = functools.partial(Quiet, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_read_from_a_server_asks_nobody_else(served, tmp_path):
    pages()
    tree, asked = visit(f"{served}/concepts.html", tmp_path)
    assert asked == []
    assert_rendered(tree, (HTML / "concepts.html").read_text(encoding="utf-8"))
    assert "<mjx-container" in tree
