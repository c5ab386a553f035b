"""An import-linter contract: which modules can import a feature. It names no feature, so new ones need no change."""

from typing import Any, ClassVar

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from typing_extensions import override


class FeaturesContract(Contract):
    """Every package of the root that is not one of `rooms` is a feature.

    A feature's modules are imported only by the feature itself and by `assembly`; other features may import what is
    `shared`.
    """

    type_name: ClassVar[str] = "features"

    rooms: Any = fields.SetField(subfield=fields.StringField())
    assembly: Any = fields.SetField(subfield=fields.StringField())
    shared: Any = fields.SetField(subfield=fields.StringField())

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find imports that this contract does not allow."""
        (root,) = self.session_options["root_packages"]
        rooms, assembly, shared = set(self.rooms), set(self.assembly), set(self.shared)
        packages = {module for module in graph.find_children(root) if graph.find_children(module)}
        features = {package for package in packages if package.removeprefix(f"{root}.") not in rooms}
        illegal = []
        for feature in features:
            for imported in {feature} | graph.find_descendants(feature):
                for importer in graph.find_modules_that_directly_import(imported):
                    top = ".".join(importer.split(".")[:2])
                    if top == feature or top.removeprefix(f"{root}.") in assembly:
                        continue
                    if not (top in features and imported.removeprefix(f"{root}.") in shared):
                        illegal.append((importer, imported))
        return ContractCheck(kept=not illegal, metadata={"illegal": sorted(illegal)})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        """List the imports that are not allowed."""
        illegal: list[tuple[Any, Any]] = check.metadata["illegal"]
        for importer, imported in illegal:
            output.print_error(f"{importer} is not allowed to import {imported}")
        output.print_error("Features can share only what `shared` in pyproject.toml lists.")
