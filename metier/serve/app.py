"""The application: routes, and what is around them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Request, Response

from metier.serve import documentation, problems
from metier.serve.body import bounded_route
from metier.serve.gate import Gate
from metier.serve.problems import Problem
from metier.serve.schema import PredictAnswer, PredictRequest, State, answer, chosen, documents
from metier.serve.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from metier.serve.service import Predictor
    from metier.serve.settings import Settings
    from metier.types import Document, Prediction

ABOUT = "Predictions of one run. A score is a calibrated probability; `abstain` says that it lies under the floor."
REFUSALS = (401, 421, 503)


def create_app(model: Predictor, settings: Settings) -> FastAPI:
    """The web application of one model. Its `state.service` is the `Service` behind it.

    Raises:
        RecipeError: for a key file that cannot be used.
    """
    service = Service(model, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.close()

    app = FastAPI(title="Metier", version="1", description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_middleware(_Shared, service=service)
    problems.install(app)
    app.include_router(api(service))
    documentation.describe(app, settings, service.heads, keys=bool(service.keys))
    documentation.add_page(app)
    if settings.page:
        from metier.serve.page import add_page

        add_page(app, service)
    return app


class _Shared(Gate):
    """The gate of a service, which the service knows as well (to drain, and to count)."""

    def __init__(self, app: Any, service: Service) -> None:
        super().__init__(app, service.settings, service.keys, service.monitor)
        service.gate = self


def api(service: Service) -> APIRouter:
    """The routes of the service."""
    limits = service.settings.limits
    router = APIRouter(route_class=bounded_route(limits))

    @router.post(
        "/v1/predict",
        response_model=PredictAnswer,
        response_model_exclude_unset=True,
        responses=documentation.problems(400, 408, 413, 415, 422, *REFUSALS),
        summary="Predict one or many texts",
    )
    async def predict(
        request: Request, asked: Annotated[PredictRequest, Body(examples=[documentation.EXAMPLE])]
    ) -> dict[str, Any]:
        heads = chosen(asked.heads, list(service.heads))
        found = await while_connected(request, service, documents(asked, limits))
        return {
            "run": service.version,
            "predictions": [{head: answer(one[head]) for head in heads if head in one} for one in found],
        }

    @router.get("/v1/run", responses=documentation.problems(*REFUSALS), summary="What is served")
    async def run() -> dict[str, Any]:
        return service.about

    # Balancers ask with HEAD. The hidden routes, registered first, answer both methods; the others are the documented
    # ones: one route with both would be two operations in the document.
    @router.get("/healthz", responses=documentation.problems(421), summary="Whether the process lives")
    @router.api_route("/healthz", methods=["GET", "HEAD"], include_in_schema=False)
    async def healthz() -> State:
        return State(status="ok")

    @router.get("/readyz", responses=documentation.problems(421, 503), summary="Whether it takes requests")
    @router.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    async def readyz() -> State:
        if not service.ready:
            raise problems.overloaded("The service stops." if service.draining else "The model is being loaded.")
        return State(status="ready")

    @router.get(
        "/metrics",
        response_class=Response,
        responses=documentation.problems(401, 421) | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        summary="Figures for Prometheus",
    )
    async def metrics() -> Response:
        return Response(service.monitor.text(), media_type=service.monitor.content_type)

    return router


async def while_connected(request: Request, service: Service, texts: Sequence[Document]) -> list[dict[str, Prediction]]:
    """The predictions of `texts`, given up as soon as the client hangs up: then its texts leave the queue."""
    work = asyncio.ensure_future(service.predict(texts))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Problem(503, "The client left.")
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
