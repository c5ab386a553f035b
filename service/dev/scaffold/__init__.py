"""Writes the files of a new resource, and removes a feature.

Read in this order: resource (parses the arguments of `new`), rendering (fills in the templates), writing (writes the
files, and adds the resource to app.py, README and changelog), removal (`remove`).
"""
