# The same Python as .python-version, on Debian 13.
FROM python:3.13-slim-trixie AS build

# binutils is needed only for strip, and not in the last stage, so its version does not matter.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils

WORKDIR /app
RUN python -m venv --without-pip .venv

# --build-arg EXTRAS=traces installs OpenTelemetry.
ARG EXTRAS=
# Dependencies before code, so that this layer changes only with the lock file. --no-deps: the lock file is complete.
COPY requirements.txt requirements-traces.txt ./
RUN pip --python .venv install --require-hashes --no-deps --only-binary :all: --no-cache-dir --no-compile \
    --requirement "requirements${EXTRAS:+-$EXTRAS}.txt"

# Remove packages that serving never imports, for Litestar's command line (rich) and generated examples (faker), and
# debugging symbols: 59 MB instead of 125.
RUN pip --python .venv uninstall --yes faker markdown-it-py mdurl polyfactory pygments rich rich-click \
    && find .venv -name '*.cpython-*.so' -exec strip --strip-debug {} +

COPY service service
COPY sql sql
COPY migrations migrations
# Bytecode that is never compared with its source, because the root can be read-only and file times are irrelevant.
# -f replaces the bytecode that pip left for modules it ran.
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
