# The same Python as .python-version, on Debian 13.
FROM python:3.13-slim-trixie AS build

# Only strip is taken from binutils, and nothing of it reaches the last stage: its version does not matter.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils

WORKDIR /app
RUN python -m venv --without-pip .venv

# --build-arg EXTRAS=traces: with OpenTelemetry.
ARG EXTRAS=
# Dependencies before code: this layer changes with the lock only. --no-deps: the lock names them all.
COPY requirements.txt requirements-traces.txt ./
RUN pip --python .venv install --require-hashes --no-deps --only-binary :all: --no-cache-dir --no-compile \
    --requirement "requirements${EXTRAS:+-$EXTRAS}.txt"

# What serving never imports goes: Litestar's command line (rich) and its inventor of examples (faker), and symbols for
# debuggers. 125 MB become 59.
RUN pip --python .venv uninstall --yes faker markdown-it-py mdurl polyfactory pygments rich rich-click \
    && find .venv -name '*.cpython-*.so' -exec strip --strip-debug {} +

COPY service service
COPY sql sql
COPY migrations migrations
# Bytecode that is never compared with its source: the root may be read-only, and times of files do not matter. By force,
# because pip has run some modules and left bytecode of another kind.
RUN python -m compileall -qf --invalidation-mode unchecked-hash .venv service \
    && .venv/bin/python -m service --help


FROM python:3.13-slim-trixie

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin service
WORKDIR /app
COPY --from=build /app /app

ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000
EXPOSE 8000
USER 10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/live', timeout=4)"]
CMD ["python", "-m", "service", "serve"]
