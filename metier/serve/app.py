"""The application: routes, and what is around them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from metier.serve import documentation, problems
from metier.serve.body import bounded_route
from metier.serve.gate import Gate
from metier.serve.schema import (
    MemoryAnswer,
    PredictAnswer,
    PredictRequest,
    ReloadAnswer,
    RunAnswer,
    RunsAnswer,
    State,
    answer,
    chosen,
    documents,
    names,
)
from metier.serve.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from metier.serve.schema import ManyTexts, OneText
    from metier.serve.served import Answered, ServedRun
    from metier.serve.settings import Settings
    from metier.serve.shelf import Memory
    from metier.serve.source import Predictor, Source
    from metier.types import Document

ABOUT = "Predictions of fitted runs. A score is a calibrated probability; `abstain` says that it lies under the floor."
REFUSALS = (401, 421, 503)
BODY_REFUSALS = (400, 408, 413, 415, 422)
Asked = Annotated[PredictRequest, Body(examples=[documentation.EXAMPLE])]


def create_app(
    models: Predictor | Source | Sequence[Predictor | Source], settings: Settings, memory: Memory | None = None
) -> FastAPI:
    """The web application of one model or of several, the first being the default. Its `state.service` is the
    `Service` behind it. `memory`: how it is measured, where not as usual.

    Raises:
        RecipeError: for a key file that cannot be used, two models of the same name, or one too large for the memory.
        RunError: for a run that cannot be loaded.
    """
    service = Service(models if isinstance(models, Sequence) else [models], settings, memory)

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
    documentation.describe(app, service)
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
        self.admit = service.admit


def api(service: Service) -> APIRouter:
    """The routes of the service."""
    limits = service.settings.limits
    router = APIRouter(route_class=bounded_route(limits))

    async def predicted(request: Request, run: ServedRun, asked: ManyTexts | OneText) -> dict[str, Any]:
        if run.loaded:
            chosen(asked.heads, list(run.heads))
        # Names are looked for in a thread: many of them in long texts take a while, and others are answered meanwhile.
        texts = await asyncio.to_thread(documents, asked, limits) if names(asked) else documents(asked, limits)
        found = await while_connected(request, run, texts)
        heads = chosen(asked.heads, list(found.heads))  # of the model that answered: it may be a newer one
        return {
            "run": found.version,
            "predictions": [{head: answer(one[head]) for head in heads if head in one} for one in found.predictions],
        }

    @router.post(
        "/v1/predict",
        response_model=PredictAnswer,
        response_model_exclude_unset=True,
        responses=documentation.problems(*BODY_REFUSALS, *REFUSALS),
        summary="Predict one or many texts",
    )
    async def predict(request: Request, asked: Asked) -> dict[str, Any]:
        return await predicted(request, service.default, asked)

    @router.get("/v1/run", responses=documentation.problems(*REFUSALS), summary="What is served")
    async def run() -> dict[str, Any]:
        return service.default.about

    @router.get("/v1/runs", responses=documentation.problems(*REFUSALS), summary="All runs that are served")
    async def runs() -> RunsAnswer:
        found = [RunAnswer(**run.about | run.state()) for run in service.runs.values()]
        memory = MemoryAnswer(used=service.shelf.memory.used(), limit=service.shelf.memory.limit)
        return RunsAnswer(default=service.default.name, runs=found, memory=memory)

    @router.post(
        "/v1/runs/{name}/predict",
        response_model=PredictAnswer,
        response_model_exclude_unset=True,
        responses=documentation.problems(404, *BODY_REFUSALS, *REFUSALS),
        summary="Predict one or many texts with the run of this name",
    )
    async def predict_by(request: Request, name: str, asked: Asked) -> dict[str, Any]:
        return await predicted(request, service.run(name), asked)

    @router.post(
        "/v1/runs/{name}/reload",
        responses=documentation.problems(404, 409, *REFUSALS),
        summary="Look at the folder of a run now: if it was replaced, so is the run",
    )
    async def reload(name: str) -> ReloadAnswer:
        run = service.run(name)
        replaced = await service.shelf.renew(run, again=True)
        return ReloadAnswer(name=run.name, version=run.version, replaced=replaced)

    add_operations(router, service)
    return router


def add_operations(router: APIRouter, service: Service) -> None:
    """The routes for whoever operates the service."""

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
            raise problems.overloaded("The service stops." if service.draining else service.loading)
        return State(status="ready")

    @router.get(
        "/metrics",
        response_class=Response,
        responses=documentation.problems(401, 421) | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        summary="Figures for Prometheus",
    )
    async def metrics() -> Response:
        return Response(service.monitor.text(), media_type=service.monitor.content_type)


async def while_connected(request: Request, run: ServedRun, texts: Sequence[Document]) -> Answered:
    """The predictions of `texts`, given up as soon as the client hangs up: then its texts leave the queue."""
    work = asyncio.ensure_future(run.predict(texts))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect  # which the gate counts, and answers with nothing
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
