"""The routes of every service: health (liveness and readiness), docs (the documentation page) and metrics."""
