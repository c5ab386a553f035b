"""Your queries: ``one("pets.create_pet", VersionedPet)`` reads the file and returns a typed query.

mypy reads sql.pyi in place of this file. That stub knows each query by its name and the types of its parameters, so
mypy reports a call with a wrong argument. Generate it with ``python -m service sql stub``.
"""

from service.postgres import count, many, maybe, one, value

__all__ = ["count", "many", "maybe", "one", "value"]
