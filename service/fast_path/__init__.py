"""The fast path, an optional part: simple requests bypass Litestar's router, which saves CPU time.

`python -m service remove fast_path` removes it; see docs/your-own.md.
"""

from service.fast_path.middleware import fast_path_middleware

__all__ = ["fast_path_middleware"]
