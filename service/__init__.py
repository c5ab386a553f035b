"""A raw-SQL web service: Litestar controllers call hand-written SQL files.

README.md shows the layout. Start with app, which puts everything together, and a feature such as users, which shows
the path of a request from its controller to its SQL files.
"""

__version__ = "0.1.0"
