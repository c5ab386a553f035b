"""The routes of every service: health checks, the documentation page, and metrics."""
