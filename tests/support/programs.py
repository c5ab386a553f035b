"""Programs that tests start but no lock file pins: from Debian's packages or npm."""

import os
import shutil

import pytest

# The PgBouncer of this Debian or Ubuntu release, and that of Debian 13, which .ci/programs installs as well.
PGBOUNCER, PGBOUNCER_OF_DEBIAN_13 = "/usr/sbin/pgbouncer", "/usr/local/lib/pgbouncer-trixie/pgbouncer"


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip the test if a program is missing; with CI=true, where .ci/run installs them, fail instead."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(
        bool(missing) and os.environ.get("CI") != "true", reason=f"not installed: {', '.join(missing)}"
    )
