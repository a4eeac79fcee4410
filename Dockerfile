# The serving install: predicts and serves a run that is mounted at /run; it cannot train.
#
#   docker build -t metier .
#   docker run --rm -p 8000:8000 -v "$PWD/runs/news:/run:ro" -v "$PWD/keys:/keys:ro" metier
#
# /keys is a file with one API key a line; the service asks for one because the container listens on every address.
# PyTorch from the package index carries CUDA and is large. For a CPU image name PyTorch's own CPU index, whose address
# the installation page of pytorch.org shows: docker build --build-arg TORCH_INDEX=ADDRESS -t metier .
FROM python:3.11-slim AS build
ARG TORCH_INDEX=""
WORKDIR /source
RUN python -m venv /venv
COPY constraints.txt ./
RUN /venv/bin/pip install -q --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY metier metier
RUN /venv/bin/pip install -q --no-cache-dir -c constraints.txt '.[predict]'

FROM python:3.11-slim
COPY --from=build /venv /venv
RUN useradd --create-home --uid 10001 metier
USER metier
WORKDIR /home/metier
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 MPLBACKEND=Agg
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["metier", "serve", "/run", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--api-key-file", "/keys"]
