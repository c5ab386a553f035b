"""schemathesis reads the OpenAPI document, and finds no response that contradicts it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.support.accounts import account
from tests.support.figures import Report
from tests.support.processes import Running, running
from tests.support.resources import resources

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
HERE = Path(__file__).parent
CASES = 1000
# For more, SCHEMATHESIS_EXAMPLES=2000 runs some 20,000 cases.
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "90")
# They would end the caller's session, whose id schemathesis reads in the list.
EXCLUDED = ("delete_me", "end_session")


@pytest.fixture
def patient(served_database_url: str, tmp_path: Path) -> Iterator[Running]:
    """Return a service whose access tokens outlive 20,000 cases."""
    settings = {"LOGIN_THROTTLE": "off", "ACCESS_TOKEN_EXPIRE_SECONDS": "86400"}
    with running(served_database_url, tmp_path, **settings) as served:
        served.wait_until_ready()
        yield served


# Statuses that each resource can refuse with.
OF_A_RESOURCE = """
[[operations]]
include-name = "GET {list}" # a cursor from nowhere
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "422"]

[[operations]]
include-name-regex = "(PATCH|DELETE) {path}/.*" # an ETag of another version
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "412"]

[[operations]]
include-name = "POST {create}" # an Idempotency-Key that stands for another request
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "422"]
"""


def test_schemathesis_finds_nothing_in_1000_cases(patient: Running, tmp_path: Path, report: Report) -> None:
    caller = account(patient.client)
    configuration = tmp_path / "schemathesis.toml"
    of_resources = [OF_A_RESOURCE.format(**attrs.asdict(each)) for each in resources()]
    configuration.write_text("\n".join([(HERE / "schemathesis.toml").read_text(), *of_resources]))

    done = subprocess.run(
        [
            *(SCHEMATHESIS, f"--config-file={configuration}", "run", f"{patient.url}/openapi.json"),
            *("--header", f"Authorization: {caller.bearer['Authorization']}"),
            *("--checks=all", "--phases=examples,coverage,fuzzing", f"--max-examples={EXAMPLES}"),
            *("--seed=1", "--continue-on-failure", "--no-color", "--generation-database=none"),
            *(f"--exclude-operation-id={each}" for each in EXCLUDED),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    still_logged_in = patient.client.get("/users/me", headers=caller.bearer).status_code == 200
    found = re.search(r"(\d+) generated", done.stdout)
    report(f"schemathesis: {found[1] if found else 0} cases of all checks, exit status {done.returncode}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert found is not None
    assert int(found[1]) >= CASES
    assert still_logged_in  # or the later cases were all 401
