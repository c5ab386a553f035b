"""What is wrong in a line of a query's header that cannot be read."""

import re

# The first that matches is told; `{}` is what its group has found.
MISTAKES = (
    ("\ufeff.*", "the file begins with a byte order mark: save it without"),
    ("(?!--).*", "the line does not begin with '--'"),
    ("--[^ ].*", "a space must follow '--'"),
    (r"-- ([\w.]+): *", "nothing follows '{}:'"),
    (r"-- (\w[\w-]*\.[\w-]+): .*", "'{}' is no name: lower-case letters, digits and _"),
    (r"-- \$\d+ *", "the parameter has no name and no type"),
    (r"-- \$\d+[^\d ].*", "a space must follow the number"),
    (r"-- \$\d+ +([a-z_0-9]+) *", "'{}' has no type"),
    (r"-- \$\d+ +(?![a-z_0-9]+ )(\S+).*", "'{}' is no name: lower-case letters, digits and _"),
    (r"-- \$\d+ +\w+ +(\w+\(.*?\)).*", "'{}' has a length: write the type alone"),
    (r"-- \$\d+ .*\?.*", "'?' follows the type without a space, and an array's []"),
    (r"-- (returns|not null) .*", "a ':' must follow '{}'"),
    (r"-- returns: (?!(?:one|maybe|many|value|count)\b)(\S*).*", "'{}' is not one, maybe, many, value or count"),
    (r"-- returns: \w+ (\S*).*", "'{}' is no name of a class or a type"),
    (r"-- not null: (.*)", "'{}' is no list of columns, with a reason in brackets"),
    (r"-- [\w-]+: ok *", "a reason must follow 'ok'"),
    (r"-- (replica): .*", "'{}:' takes no more than 'ok'"),
    (r"-- ([\w-]+): ok .*", "no check that a header can accept is called '{}'"),
    (r"-- ([\w -]+): .*", "a header has no '{}:'"),
)


def mistake(line: str) -> str:
    """Return what is wrong in a line, to follow what was expected; nothing if nobody can tell."""
    found = ((re.fullmatch(pattern, line), sentence) for pattern, sentence in MISTAKES)
    return next((f": {sentence.format(*match.groups())}" for match, sentence in found if match), "")
