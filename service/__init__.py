"""A raw-SQL web service: Litestar controllers call hand-written SQL files."""

__version__ = "0.1.0"
