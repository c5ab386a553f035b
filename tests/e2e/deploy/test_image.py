"""The container image, built, and run as its user with nothing writable, against a real PostgreSQL."""

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debian import POSTGRES, debian_postgres
from tests.support.first_session import run_black_box
from tests.support.image import FROM, PYTHON, Image, built
from tests.support.processes import ROOT, Running, free_port, serve_settings
from tests.support.programs import needs

DOCKERFILE = (ROOT / "Dockerfile").read_text()
MEGABYTE = 10**6

# Each installed package with its version.
# Each source file whose bytecode is missing or would be compared with its source.
LIST_PACKAGES = "import importlib.metadata as m; print(*(f'{d.name.lower()}=={d.version}' for d in m.distributions()))"
LIST_UNCOMPILED = """
import importlib.util, pathlib
for path in pathlib.Path("/app").rglob("*.py"):
    cached = pathlib.Path(importlib.util.cache_from_source(path))
    if not cached.exists() or cached.read_bytes()[4:8] != b"\\1\\0\\0\\0":
        print(path)
"""


def test_both_stages_use_the_projects_python() -> None:
    assert [f"python:{PYTHON}-slim-trixie"] * 2 == FROM


def test_dependencies_come_before_code() -> None:
    """So their layer changes only with the lock file."""
    assert DOCKERFILE.index("COPY requirements.txt") < DOCKERFILE.index("RUN pip") < DOCKERFILE.index("COPY sql")


@pytest.mark.parametrize(("extras", "lock"), [("", "requirements.txt"), ("traces", "requirements-traces.txt")])
def test_build_argument_selects_the_lock_file(extras: str, lock: str) -> None:
    """The build takes a minute, and is tested with the default."""
    [words] = re.findall(r"^    --requirement (.*)$", DOCKERFILE, re.MULTILINE)
    shell = ["/bin/sh", "-c", f"echo {words}"]
    chosen = subprocess.run(shell, env={"EXTRAS": extras}, capture_output=True, text=True, check=True).stdout.strip()

    assert chosen == lock
    assert re.search(rf"^COPY .*\b{lock}", DOCKERFILE, re.MULTILINE)
    assert f"!{lock}\n" in (ROOT / ".dockerignore").read_text()
    assert DOCKERFILE.index("ARG EXTRAS") < DOCKERFILE.index("--requirement ")
    # docs/observability.md: without the build argument, requirements.txt is replaced by the file with traces.
    for_all = (ROOT / "requirements.txt").read_text() == (ROOT / "requirements-traces.txt").read_text()
    assert ("opentelemetry-sdk==" in (ROOT / lock).read_text()) is (for_all or extras == "traces")


slow = pytest.mark.slow
with_buildah = needs("buildah", "debootstrap", "unshare", POSTGRES)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Return the image."""
    with built() as image:
        yield image


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the URL of an empty database."""
    with debian_postgres({}) as url:
        yield url


@pytest.fixture(scope="module")
def served(image: Image, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return the service in the container, migrated by the container."""
    migrated = image.run("python", "-m", "service", "migrate", DATABASE_URL=url)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    settings = serve_settings(url, PORT=str(free_port()), LOGIN_THROTTLE="off")
    program = image.command(image.config["Cmd"], settings)
    with Running("serve", tmp_path_factory.mktemp("image"), settings, program=program) as running:
        running.wait_until_ready()
        yield running


@slow
@with_buildah
def test_contract_holds_in_the_image(served: Running) -> None:
    assert " passed" in run_black_box(served.url)


@slow
@with_buildah
def test_image_runs_in_exec_form_without_privileges(image: Image) -> None:
    assert image.config["Cmd"] == ["python", "-m", "service", "serve"]
    assert not image.config.get("Entrypoint")
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.run("id", "--user").stdout == f"{image.config['User']}\n" == "10001\n"


@slow
@with_buildah
@pytest.mark.parametrize("path", ["/app/file", "/app/service/file", "/tmp/file", "/file"])  # noqa: S108 - the image's own
def test_nothing_can_be_written(image: Image, path: str) -> None:
    assert "Read-only file system" in image.run("touch", path).stderr


@slow
@with_buildah
def test_code_is_not_owned_by_the_user(image: Image) -> None:
    """Even if the engine allows writes."""
    assert image.run("find", "/app", "(", "-user", "10001", "-o", "-perm", "/022", ")", "!", "-type", "l").stdout == ""


@slow
@with_buildah
@pytest.mark.parametrize(
    "path", ["service/dev", "service/embedded.py", "service/sqlbook", "service/sqlcheck", "sql/dev"]
)
def test_image_has_no_development_tools(image: Image, path: str) -> None:
    assert image.run("find", f"/app/{path}").returncode == 1


@slow
@with_buildah
@pytest.mark.parametrize("tool", ["cc", "gcc", "c++", "g++", "clang", "ld", "as", "strip", "make", "uv"])
def test_image_has_no_compiler(image: Image, tool: str) -> None:
    assert image.run("sh", "-c", f"command -v {tool}").stdout == ""


@slow
@with_buildah
def test_only_packages_needed_to_serve_are_installed(image: Image) -> None:
    lock = (ROOT / "requirements.txt").read_text()
    locked = {
        name: version
        for name, version, rest in re.findall(r"^([a-z][\w.-]*)==(\S+)(.*)$", lock, re.MULTILINE)
        if "== 'win32'" not in rest
    }
    removed = set(re.findall(r"uninstall --yes (.*?) \\", DOCKERFILE)[0].split())

    listed = [package.partition("==") for package in image.run("python", "-c", LIST_PACKAGES).stdout.split()]

    assert removed < locked.keys()
    assert {name.replace("_", "-"): version for name, _, version in listed} == {
        name: version for name, version in locked.items() if name not in removed
    }


@slow
@with_buildah
def test_bytecode_is_complete_and_unchecked(image: Image) -> None:
    done = image.run("python", "-c", LIST_UNCOMPILED)

    assert (done.stdout, done.stderr) == ("", "")


@slow
@with_buildah
def test_health_check_asks_liveness_on_the_port(image: Image, served: Running) -> None:
    kind, *command = image.config["Healthcheck"]["Test"]

    assert kind == "CMD"
    assert "/health/live" in command[-1]
    assert image.run(*command, PORT=str(served.port)).returncode == 0
    assert image.run(*command, PORT=str(free_port())).returncode == 1


@slow
@with_buildah
def test_image_is_under_200_mb_with_its_base(image: Image) -> None:
    """The base is a stand-in that is no smaller (image.py)."""
    total, ours = (
        int(image.run("du", "--summarize", "--bytes", "--one-file-system", path).stdout.split()[0])
        for path in ("/", "/app")
    )

    assert total - ours > 115 * MEGABYTE  # the stand-in is a whole Debian with Python
    assert total < 200 * MEGABYTE


@slow
@with_buildah
@pytest.mark.usefixtures("served")  # the container that migrated
def test_sigterm_ends_the_container(image: Image, url: str, tmp_path: Path) -> None:
    settings = serve_settings(url, PORT=str(free_port()))
    with Running("serve", tmp_path, settings, program=image.command(image.config["Cmd"], settings)) as running:
        running.wait_until_ready()

        assert running.end(signal.SIGTERM) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
        assert "Traceback" not in running.stdout + running.stderr
