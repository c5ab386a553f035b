"""Programs that tests start and that no lock of ours holds: from Debian's packages or from npm."""

import os
import shutil

import pytest

# The PgBouncer of this release of Debian or Ubuntu, and that of Debian 13, which .ci/programs installs beside it.
PGBOUNCER, PGBOUNCER_OF_DEBIAN_13 = "/usr/sbin/pgbouncer", "/usr/local/lib/pgbouncer-trixie/pgbouncer"


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip the test where a program is missing; with CI=true, where .ci/run has installed them, it fails instead."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(
        bool(missing) and os.environ.get("CI") != "true", reason=f"not installed: {', '.join(missing)}"
    )
