"""A customer in Chromium says that an answer did not help, and what would have been right."""

from __future__ import annotations

import pytest
from serving import served
from supported import fill
from test_support_pages import PROGRAM, ask, logged_in, stored

from metier.store import knowledge
from metier.store.store import Store


@pytest.fixture
def site(tmp_path):
    with Store.open(tmp_path / "support.db") as store:
        keys = fill(store)
        with served(tmp_path, "--page", program=(PROGRAM,)) as one:
            one.store, one.keys = store, keys
            yield one


@pytest.mark.browser
def test_a_thumb_down_and_a_correction_wait_for_review(browser, site):
    with logged_in(browser, site, "/try", who="viewer-1") as page:
        page.get_by_role("button", name="Open the chat").click()
        ask(page, "What does a transfer cost", "A transfer costs nothing.")
        page.get_by_role("button", name="This did not help").click()
        field = page.get_by_label("What would have been right? (optional)")
        field.wait_for()
        (thumb,) = stored(site, knowledge.waiting)
        assert (thumb.kind, thumb.entry) == ("thumb", "fee")
        field.fill("A transfer costs a euro.")
        field.press("Enter")
        field.wait_for(state="detached")
        page.get_by_text("Thank you.").wait_for()
    (found,) = stored(site, knowledge.waiting)
    assert (found.id, found.kind, found.answer) == (thumb.id, "correction", "A transfer costs a euro.")
