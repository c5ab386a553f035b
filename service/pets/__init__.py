"""Pets, the example of a resource: models (rows and bodies), controllers (the routes under /pets), paging (cursors)."""
