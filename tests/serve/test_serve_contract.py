"""The service against its own OpenAPI document, with requests that schemathesis makes up, right and wrong ones."""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from serving import served

KEY = "a-key-for-the-contract"
CALM = settings(max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
ASKED = [("/v1/predict", "POST"), ("/v1/runs/{name}/predict", "POST")]
RELOAD = ("/v1/runs/{name}/reload", "POST")
ROUTES = [*ASKED, RELOAD, *((path, "GET") for path in ("/v1/run", "/v1/runs", "/healthz", "/readyz", "/metrics"))]


@pytest.fixture(scope="module")
def documented(tmp_path_factory):
    keys = tmp_path_factory.mktemp("contract") / "keys"
    keys.write_text(KEY)
    small = ("--limit", "texts=3", "--limit", "characters=200", "--limit", "queue=64")
    with served("--keys", keys, "--page", *small) as one:
        document = httpx.get(f"{one.url}/openapi.json").json()
        assert set(document["paths"]) == {path for path, _ in ROUTES}
        # The keys are told to the client below, not to schemathesis, which would send wrong ones beside the right one.
        del document["components"]["securitySchemes"]
        for operations in document["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=one.url)
        yield schema
        assert one.stop() == 0
        assert one.process.stderr.read() == ""


def check(operation, mode, examine, how):
    @given(case=operation.as_strategy(generation_mode=mode))
    @how
    def each(case):
        examine(case)

    each()


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        (*route, mode)
        for routes, mode in ((ROUTES, GenerationMode.POSITIVE), (ASKED, GenerationMode.NEGATIVE))
        for route in routes
    ],
)
def test_the_service_keeps_to_its_document(documented, path, method, mode):
    def examine(case):
        answer = case.call(headers={"X-API-Key": KEY})
        assert answer.status_code < 500 or answer.status_code == 503
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]
        case.validate_response(answer)

    check(documented[path][method], mode, examine, CALM)


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_without_a_key_the_guarded_routes_say_401(documented, path, method):
    def examine(case):
        assert (case.call().status_code == 401) == (path.startswith("/v1/") or path == "/metrics")

    check(documented[path][method], GenerationMode.POSITIVE, examine, settings(CALM, max_examples=3))
