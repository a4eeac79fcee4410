"""A page in the browser, watched while a test uses it."""

from __future__ import annotations

from contextlib import contextmanager


@contextmanager
def visit(browser, site, path="/", *, width=1280, wait="textarea", **context):
    """A page whose every request goes to the server, whose console stays silent, and that fits the screen."""
    asked, complaints = [], []
    opened = browser.new_context(viewport={"width": width, "height": 844}, **context)
    try:
        page = opened.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.goto(site.url + path)
        page.locator(wait).first.wait_for()
        yield page
        assert [url for url in asked if not url.startswith((site.url, "data:", "blob:"))] == []
        assert complaints == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is wider than the screen"
    finally:
        opened.close()
