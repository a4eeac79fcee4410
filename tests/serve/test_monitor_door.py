"""Who comes into the monitor: passwords, sessions, other sites, trusted proxies, other hosts, the first person."""

from __future__ import annotations

import asyncio

import pytest
from monitored import NOW, PASSWORD, console
from test_monitor_api import ask, firing, last_entry

from metier.errors import RecipeError
from metier.serve.doors.door import COOKIE
from metier.serve.doors.server import setup_link
from metier.serve.monitor import ServiceSettings
from metier.store import audit, people
from metier.store.store import Store

HOME = {"Origin": "http://localhost"}


@pytest.fixture
def app(filled, tmp_path):
    with console(filled, tmp_path) as made:
        yield made


def log_in(app, name="analyst-1", password=PASSWORD, headers=HOME, **more):
    return ask(app, "POST", "/login", data={"name": name, "password": password, **more}, headers=headers)


def token_of(answer):
    return answer.cookies[COOKIE]


def test_a_log_in_gives_a_cookie_that_no_script_and_no_other_site_gets(app):
    found = log_in(app, next="/alerts?state=firing")
    assert found.status_code == 303
    assert found.headers["location"] == "/alerts?state=firing"
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie
    me = ask(app, "GET", "/v1/whoami", cookies={COOKIE: token_of(found)}).json()
    assert me == {"name": "analyst-1", "role": "analyst", "kind": "session"}
    assert last_entry(app).what == "log in"


def test_a_cookie_of_https_travels_by_https_alone(filled, tmp_path):
    with console(filled, tmp_path, https=True) as app:
        assert "Secure" in log_in(app).headers["set-cookie"]


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\nb"]
)
def test_a_log_in_leads_nowhere_else(app, place):
    assert log_in(app, next=place).headers["location"] == "/"


def test_wrong_passwords_are_told_the_same_and_soon_no_more(app):
    wrong = log_in(app, password="wrong password")
    nobody = log_in(app, name="nobody", password="wrong password")
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.text.replace("analyst-1", "nobody") == nobody.text
    assert last_entry(app).who == "?", "the log keeps no typed names: some are passwords"
    for _ in range(4):
        log_in(app, password="wrong password")
    found = log_in(app)
    assert found.status_code == 429
    assert int(found.headers["retry-after"]) > 800
    assert log_in(app, name="admin-1").status_code == 303, "others may"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Origin": "http://localhost.evil.example"}, {"Origin": "http://localhost:9000"}],
)  # fmt: skip
def test_another_site_can_do_nothing_with_a_cookie(app, headers):
    cookies = {COOKIE: token_of(log_in(app))}
    alert, before = firing(app), last_entry(app).number
    found = ask(
        app, "POST", f"/v1/alerts/{alert.id}/verdict", cookies=cookies, json={"verdict": "false"}, headers=headers
    )
    assert found.status_code == 403
    assert ask(app, "POST", "/logout", cookies=cookies, headers=headers).status_code == 403
    assert log_in(app, headers=headers).status_code == 403
    assert last_entry(app).number == before


@pytest.mark.parametrize("headers", [HOME, {"Sec-Fetch-Site": "same-origin"}])
def test_our_own_page_can(app, headers):
    cookies = {COOKIE: token_of(log_in(app))}
    alert = firing(app)
    found = ask(
        app, "POST", f"/v1/alerts/{alert.id}/verdict", cookies=cookies, json={"verdict": "false"}, headers=headers
    )
    assert found.json()["verdict_by"] == "analyst-1"


def test_a_session_ends_with_the_log_out_the_role_or_the_time(filled, tmp_path):
    now = [NOW]
    with console(filled, tmp_path, clock=lambda: now[0], session_hours=1.0) as app:
        first, second = token_of(log_in(app)), token_of(log_in(app))
        gone = ask(app, "POST", "/logout", cookies={COOKIE: first}, headers=HOME)
        assert gone.status_code == 303
        assert ask(app, "GET", "/v1/whoami", cookies={COOKIE: first}).status_code == 401
        assert ask(app, "GET", "/v1/whoami", cookies={COOKIE: second}).status_code == 200
        ask(app, "PATCH", "/v1/people/analyst-1", "admin", json={"role": "viewer"})
        assert ask(app, "GET", "/v1/quarantine", cookies={COOKIE: second}).status_code == 403
        now[0] += 3601
        assert ask(app, "GET", "/v1/whoami", cookies={COOKIE: second}).status_code == 401
        third = token_of(log_in(app))
        ask(app, "PATCH", "/v1/people/analyst-1", "admin", json={"active": False})
        assert ask(app, "GET", "/v1/whoami", cookies={COOKIE: third}).status_code == 401
        assert log_in(app).status_code == 401


def test_a_key_is_shown_once_and_ends_when_it_is_revoked(app):
    made = ask(app, "POST", "/v1/keys", "admin", json={"name": "wire", "role": "viewer", "days": 1}).json()["key"]
    own = {"X-API-Key": made}
    assert ask(app, "GET", "/v1/whoami", headers=own).json()["name"] == "key wire"
    assert made not in ask(app, "GET", "/v1/people", "admin").text
    assert made not in ask(app, "GET", "/v1/audit", "admin").text
    assert ask(app, "DELETE", "/v1/keys/wire", "admin").status_code == 204
    assert ask(app, "GET", "/v1/whoami", headers=own).status_code == 401


def acts(app):
    """The last acts of the audit log as an admin reads them, the latest first; and that it holds no secret."""
    answer = ask(app, "GET", "/v1/audit?limit=500", "admin")
    assert PASSWORD not in answer.text
    return [(one["who"], one["what"], one["details"].get("address")) for one in answer.json()["entries"]]


def test_the_log_tells_of_comings_and_goings_without_their_secrets(app):
    before = len(acts(app))
    token = token_of(log_in(app))
    ask(app, "POST", "/logout", cookies={COOKIE: token}, headers=HOME)
    log_in(app, name="my secret", password="other secret")
    found = acts(app)
    assert len(found) == before + 3
    assert found[:3] == [
        ("?", "fail to log in", "127.0.0.1"), ("analyst-1", "log out", "127.0.0.1"),
        ("analyst-1", "log in", "127.0.0.1")
    ]  # fmt: skip
    for _ in range(8):
        log_in(app, password="wrong password")
    assert [what for _, what, _ in acts(app)].count("be shut out") == 1
    with app.state.console.store.read() as connection:
        whole = str(audit.listing(connection, limit=500))
    assert token not in whole and "secret" not in whole and "wrong password" not in whole


def test_the_log_tells_of_keys_that_are_used_after_their_end(filled, tmp_path):
    now = [NOW]
    with console(filled, tmp_path, clock=lambda: now[0]) as app:
        wire, night = (
            ask(app, "POST", "/v1/keys", "admin", json={"name": name, "role": "viewer", "days": 1}).json()["key"]
            for name in ("wire", "night")
        )
        ask(app, "DELETE", "/v1/keys/wire", "admin")
        before = len(acts(app))
        for _ in range(3):
            assert ask(app, "GET", "/v1/whoami", headers={"X-API-Key": wire}).status_code == 401
        assert ask(app, "GET", "/v1/whoami", headers={"X-API-Key": "metier_made-up"}).status_code == 401
        assert ask(app, "GET", "/v1/whoami", headers={"X-API-Key": night}).status_code == 200
        assert acts(app)[0] == ("key wire", "use revoked key", "127.0.0.1") and len(acts(app)) == before + 1
        now[0] += 86_401
        assert ask(app, "GET", "/v1/whoami", headers={"X-API-Key": night}).status_code == 401
        with app.state.console.store.read() as connection:
            last = audit.listing(connection, limit=50)
        assert (last[0].who, last[0].what) == ("key night", "use expired key")
        assert wire not in str(last) and night not in str(last)


def test_the_log_tells_of_single_sign_on_once_in_a_session(filled, tmp_path):
    now, sso = [NOW], {"proxy_header": "X-Remote-User", "trusted_proxies": ("10.0.0.7",)}
    with console(filled, tmp_path, clock=lambda: now[0], session_hours=2.0, **sso) as app:

        def come(name):
            ask(app, "GET", "/v1/whoami", address="10.0.0.7", headers={"X-Remote-User": name})

        def told():
            return [one[:2] for one in acts(app) if "sign on" in one[1]]

        for name in ("analyst-1", "analyst-1", "mallory", "mallory"):
            come(name)
        assert told() == [("mallory", "fail to sign on"), ("analyst-1", "sign on")]
        now[0] += 7201
        come("analyst-1")
        assert told()[0] == ("analyst-1", "sign on") and len(told()) == 3


def test_the_last_admin_stays(app):
    assert ask(app, "PATCH", "/v1/people/admin-1", "admin", json={"role": "viewer"}).status_code == 422
    assert ask(app, "PATCH", "/v1/people/admin-1", "admin", json={"active": False}).status_code == 422


def test_a_trusted_proxy_says_who_comes_and_nobody_else_does(filled, tmp_path):
    sso = {"proxy_header": "X-Remote-User", "trusted_proxies": ("10.0.0.0/24",)}
    with console(filled, tmp_path, **sso) as app:
        named = {"X-Remote-User": "analyst-1"}
        from_proxy = ask(app, "GET", "/v1/whoami", address="10.0.0.7", headers=named)
        assert from_proxy.json() == {"name": "analyst-1", "role": "analyst", "kind": "proxy"}
        assert ask(app, "GET", "/v1/whoami", address="10.0.1.7", headers=named).status_code == 401
        assert ask(app, "GET", "/v1/whoami", address="127.0.0.1", headers=named).status_code == 401
        stranger = ask(app, "GET", "/v1/whoami", address="10.0.0.7", headers={"X-Remote-User": "mallory"})
        assert stranger.status_code == 401
        change = ask(
            app, "POST", f"/v1/alerts/{firing(app).id}/acknowledge", address="10.0.0.7", headers=named, json={}
        )
        assert change.status_code == 403, "a browser behind the proxy can be led astray like any other"


def test_without_the_setting_the_header_is_worth_nothing(app):
    assert ask(app, "GET", "/v1/whoami", headers={"X-Remote-User": "admin-1"}).status_code == 401


def test_those_whom_the_proxy_knows_may_have_a_role(filled, tmp_path):
    sso = {"proxy_header": "X-Remote-User", "trusted_proxies": ("10.0.0.7",), "proxy_role": "viewer"}
    with console(filled, tmp_path, **sso) as app:
        found = ask(app, "GET", "/v1/whoami", address="10.0.0.7", headers={"X-Remote-User": "mallory"})
        assert found.json()["role"] == "viewer"


def test_many_guesses_through_a_proxy_are_counted_by_who_is_behind_it(filled, tmp_path):
    sso = {"proxy_header": "X-Remote-User", "trusted_proxies": ("10.0.0.7",)}
    with console(filled, tmp_path, **sso) as app:
        door = app.state.console.door

        async def address(peer, *forwarded):
            from starlette.requests import Request

            headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
            return door.address(Request({"type": "http", "client": (peer, 1), "headers": headers}))

        assert asyncio.run(address("10.0.0.7", "6.6.6.6, 1.2.3.4")) == "1.2.3.4", "what the client wrote is not taken"
        assert asyncio.run(address("10.0.0.7", "6.6.6.6", "1.2.3.4")) == "1.2.3.4", "nor where the proxy adds a line"
        assert asyncio.run(address("10.0.0.7", "1.2.3.4:5678")) == "1.2.3.4", "ports are new with every connection"
        assert asyncio.run(address("10.0.0.7", "[2001:db8::1]:5678")) == "2001:db8::1"
        assert asyncio.run(address("10.0.0.7", "2001:db8::1")) == "2001:db8::1"
        assert asyncio.run(address("9.9.9.9", "1.2.3.4")) == "9.9.9.9"


def test_a_name_beside_the_one_that_the_proxy_gives_lets_nobody_in(filled, tmp_path):
    sso = {"proxy_header": "X-Remote-User", "trusted_proxies": ("10.0.0.7",)}
    with console(filled, tmp_path, **sso) as app:
        for names in (("admin-1", "viewer-1"), ("viewer-1", "admin-1"), ("", "admin-1")):
            headers = [("X-Remote-User", one) for one in names]
            assert ask(app, "GET", "/v1/whoami", address="10.0.0.7", headers=headers).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "[::1].evil", ""])
def test_another_host_is_refused(app, host):
    found = ask(app, "GET", "/v1/whoami", "admin", headers={"Host": host})
    assert found.status_code == 421
    assert ask(app, "GET", "/login", headers={"Host": host}).status_code == 421


def test_the_first_person_is_made_once_with_the_code_on_this_machine(tmp_path):
    from metier.serve.monitor import create_app

    with Store.open(tmp_path / "empty.db") as store:
        app = create_app(store, settings=ServiceSettings(page=False))
        link = setup_link(app, "http://localhost")
        code = link.partition("code=")[2]
        form = {"name": "Ada", "password": PASSWORD, "again": PASSWORD, "code": code}

        def send(address="127.0.0.1", **changes):
            return ask(app, "POST", "/setup", address=address, data=form | changes, headers=HOME)

        assert "Nobody may come in yet" in ask(app, "GET", "/login").text
        assert send(code="guess").status_code == 403
        assert send(address="192.168.1.9").status_code == 403
        assert send(again="other").status_code == 422
        assert "10 to 1000" in send(password="short", again="short").text
        made = send()
        assert made.status_code == 303
        me = ask(app, "GET", "/v1/whoami", cookies={COOKIE: token_of(made)}).json()
        assert me["role"] == "admin"
        assert send(name="Eve").status_code == 403
        assert setup_link(app, "") == ""
        with store.read() as connection:
            assert [one.name for one in people.listing(connection)] == ["Ada"]


def test_the_door_speaks_chinese_and_runs_no_script(app):
    found = ask(app, "GET", "/login", headers={"Accept-Language": "zh-CN"})
    assert "登录" in found.text
    assert '<html lang="zh-CN"' in found.text
    assert "script-src" not in found.headers["content-security-policy"]
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert found.headers["cache-control"] == "no-store"
    typed = log_in(app, name='"><script>x</script>', password="wrong password")
    assert "<script" not in typed.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"},
        {"port": 70_000},
        {"proxy_header": "X-Remote-User"},
        {"trusted_proxies": ("10.0.0.1",)},
        {"proxy_header": "X", "trusted_proxies": ("somewhere",)},
        {"proxy_role": "king"},
        {"session_hours": 0},
    ],
)
def test_settings_that_protect_nothing_are_refused(wrong):
    with pytest.raises(RecipeError):
        ServiceSettings(**wrong)
