"""Explains what is wrong in a malformed line of a query's header."""

import re

# The checks whose findings a header can accept.
ACCEPTABLE_CHECKS = ("seqscan", "scale", "one-shard", "cardinality", "unlimited", "cross-join", "naive-timestamp")
# The first pattern that matches wins; `{}` is replaced by its group.
MISTAKES = (
    ("\ufeff.*", "the file begins with a byte-order mark: save it without one"),
    ("(?!--).*", "the line does not begin with '--'"),
    ("--[^ ].*", "a space must follow '--'"),
    (r"-- ([\w.]+): *", "nothing follows '{}:'"),
    (r"-- (\w[\w-]*\.[\w-]+): .*", "'{}' is not a valid name: use lower-case letters, digits and _"),
    (r"-- \$\d+ *", "the parameter has no name and no type"),
    (r"-- \$\d+[^\d ].*", "a space must follow the number"),
    (r"-- \$\d+ +([a-z_0-9]+) *", "'{}' has no type"),
    (r"-- \$\d+ +(?![a-z_0-9]+ )(\S+).*", "'{}' is not a valid name: use lower-case letters, digits and _"),
    (r"-- \$\d+ +\w+ +([\w. ]+\([\d, ]+\)).*", "'{}' has a length: write the type alone"),
    (r"-- \$\d+ +\w+ +([\w. ]+)(?:\[\d+\]|\[\]\[).*", "an array of any size and dimensions is written '{}[]'"),
    (r"-- \$\d+ .*\?.*", "write '?' directly after the type, and after the [] of an array"),
    (r"-- (returns|not null) .*", "a ':' must follow '{}'"),
    (r"-- returns: (?!(?:one|maybe|many|value|count)\b)(\S*).*", "'{}' is not one, maybe, many, value or count"),
    (r"-- returns: \w+ (\S*).*", "'{}' is not the name of a class or a type"),
    (r"-- not null: (.*)", "'{}' is not a list of columns; put a reason in brackets after it"),
    (rf"-- (?:{'|'.join(ACCEPTABLE_CHECKS)}): ok *", "a reason must follow 'ok'"),
    (r"-- (replica): .*", "only 'ok' can follow '{}:'"),
    (r"-- ([\w-]+): ok\b.*", "no check that a header can accept is called '{}'"),
    (r"-- ([\w -]+): .*", "a header has no '{}:'"),
)


def mistake(line: str) -> str:
    """Return ``: `` and the mistake in `line`, or an empty string if it is not recognized."""
    found = ((re.fullmatch(pattern, line), sentence) for pattern, sentence in MISTAKES)
    return next((f": {sentence.format(*match.groups())}" for match, sentence in found if match), "")
