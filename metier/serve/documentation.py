"""The OpenAPI document with this service's own limits in it, and a page for it that needs no network."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse

from metier.errors import MissingExtra
from metier.serve.problems import MEDIA_TYPE, Problem, phrase
from metier.serve.schema import ProblemDocument

if TYPE_CHECKING:
    from fastapi import FastAPI

    from metier.serve.service import Service

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
EXAMPLE = {"texts": ["Operating profit rose to EUR 13.1 mn", {"text": "Is it open?", "pair": "When do you open?"}]}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What FastAPI's `responses=` takes for these problem statuses."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {status: {"description": phrase(status), "content": content} for status in statuses}


def describe(app: FastAPI, service: Service) -> None:
    """Makes `app.openapi()` say what is true here: the limits, the names of runs and heads, whether a key is needed."""

    @lru_cache(maxsize=1)
    def written(versions: tuple[str, ...]) -> dict[str, Any]:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = found["components"]["schemas"]
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        heads = list(dict.fromkeys(head for run in service.runs.values() for head in run.heads))
        limits, names = service.settings.limits, {"type": "string", "enum": heads}
        schemas["ManyTexts"]["properties"]["texts"]["maxItems"] = limits.texts
        for schema in (schemas["ManyTexts"], schemas["OneText"]):
            schema["properties"]["heads"]["anyOf"][0]["items"] = names
            if len(service.runs) > 1:
                schema["properties"]["heads"]["description"] += " Of the run that is asked: see /v1/runs."
        for schema in (schemas["ManyTexts"]["properties"]["texts"]["items"], schemas["OneText"]["properties"]["text"]):
            schema["oneOf"][0]["maxLength"] = limits.characters
        schemas["Pair"]["properties"]["text"]["maxLength"] = limits.characters
        schemas["Pair"]["properties"]["pair"]["anyOf"][0]["maxLength"] = limits.characters
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        if service.keys:  # whoever reads this has shown none: the runs are not named
            _ask_for_keys(found)
        else:
            for route in ("predict", "reload"):
                name = found["paths"][f"/v1/runs/{{name}}/{route}"]["post"]["parameters"][0]
                name["schema"] = {"type": "string", "enum": list(service.runs)}
        return found

    def document() -> dict[str, Any]:
        return written(tuple(run.version for run in service.runs.values()))

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to change the document


def _ask_for_keys(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in document["paths"].items():
        if path.startswith("/v1/") or path == "/metrics":
            for operation in operations.values():
                operation["security"] = [{"bearer": []}, {"header": []}]


def add_page(app: FastAPI) -> None:
    """Serves `/docs` with the Swagger UI files that the package `fastapi_offline` carries; no other host is asked.

    Raises `MissingExtra` where that package is missing.
    """
    if find_spec("fastapi_offline") is None:
        raise MissingExtra("fastapi-offline", "all")
    folder = files("fastapi_offline") / "static"

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
            swagger_ui_parameters={"defaultModelsExpandDepth": 0},
        )

    @app.get("/docs/{name}", include_in_schema=False)
    async def asset(name: str) -> FileResponse:
        if name not in ASSETS:
            raise Problem(404, "There is nothing at this address; see /docs.")
        with as_file(folder / name) as path:
            return FileResponse(path, media_type=ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})
