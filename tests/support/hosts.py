"""Hosts in network namespaces, each with a service, behind HAProxy: a network of real hosts."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import attrs
import httpx

from tests.support.processes import PATIENCE, Running, Settings, free_port, serve_settings, wait_until
from tests.support.processes import command as service

HAPROXY = "/usr/sbin/haproxy"
# Reserved for benchmarks (RFC 2544), and not routed.
NETWORK = "198.18.7"
HUB = f"{NETWORK}.1"
CGROUPS = Path("/sys/fs/cgroup/cpu")
# A host that does not answer for 0.4 s gets no more requests, and its pending ones fail.
CONFIGURATION = """\
global
    maxconn 500
defaults
    mode http
    option forwardfor
    option redispatch
    timeout connect 300ms
    timeout client 20s
    timeout server 20s
frontend clients
    bind 127.0.0.1:{port}
    default_backend hosts
backend hosts
    balance leastconn
    option httpchk GET /health/ready
"""
CHECKS = """\
    timeout check 300ms
    default-server check inter 100ms fall 2 rise 2 on-marked-down shutdown-sessions
"""


def ip(*words: str) -> None:
    """Run iproute2's `ip`."""
    subprocess.run(["ip", *words], check=True)  # noqa: S607 - root's PATH


@attrs.define
class Network:
    """A bridge in this namespace that hosts are connected to."""

    name: str = attrs.Factory(lambda: f"chaos{os.getpid()}")
    hosts: list["Host"] = attrs.Factory(list)

    def __enter__(self) -> Self:
        ip("link", "add", self.name, "type", "bridge")
        ip("address", "add", f"{HUB}/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.end()
        ip("link", "delete", self.name)

    def add(self, output: Path, url: str, **settings: str) -> "Host":
        """Start the service on another host."""
        number = len(self.hosts) + 1
        host = Host(f"{self.name}n{number}", self.name, f"{NETWORK}.{10 + number}", output)
        self.hosts.append(host)
        host.start(serve_settings(url, HOST=host.address, TRUSTED_PROXY_HOPS="1", **settings))
        return host


@attrs.define
class Host:
    """A network namespace with its own address and the service in it."""

    name: str
    bridge: str
    address: str
    output: Path
    served: Running = attrs.field(init=False)
    client: httpx.Client = attrs.field(init=False)

    def start(self, settings: Settings) -> None:
        """Connect the host and start its service."""
        ip("netns", "add", self.name)
        ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.name, "master", self.bridge, "up")
        for words in (f"address add {self.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            ip("-netns", self.name, *words.split())
        self.output.mkdir()
        program = ["ip", "netns", "exec", self.name, *service("serve")]
        self.served = Running("serve", self.output, settings, program=program)
        place = f"http://{self.address}:{self.served.port}"
        self.client = httpx.Client(base_url=place, headers={"Host": "localhost"}, trust_env=False, timeout=PATIENCE)

    def wait_until_ready(self) -> None:
        """Wait until it is ready."""
        wait_until(self._is_ready, f"{self.name} is ready: {self.served.stderr}")

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def limit(self, share: float) -> None:
        """Limit it to this share of one processor from now on, by a control group."""
        group = CGROUPS / self.name
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text("20000")
        (group / "cpu.cfs_quota_us").write_text(str(int(share * 20_000)))
        for process in self.served.process_tree():
            (group / "cgroup.procs").write_text(str(process.pid))

    def seconds_of_cpu(self) -> float:
        """Return the CPU seconds used by the service so far."""
        times = [process.cpu_times() for process in self.served.process_tree()]
        return float(sum(time.user + time.system for time in times))

    def cut_off(self) -> None:
        """Disconnect the host from the network."""
        ip("link", "set", self.name, "down")

    def connect(self) -> None:
        """Reconnect the host."""
        ip("link", "set", self.name, "up")

    def end(self) -> None:
        """End the service, and remove the host."""
        with self.served:
            self.client.close()
        ip("netns", "delete", self.name)  # its end of the cable is removed with it, and so is the other
        if (CGROUPS / self.name).is_dir():
            (CGROUPS / self.name).rmdir()


class Balancer:
    """HAProxy in front of `hosts`; it checks their readiness, unless `checks` is false."""

    def __init__(self, hosts: Sequence[Host], folder: Path, *, checks: bool) -> None:
        folder.mkdir()
        self.port = free_port()
        self.output = folder
        servers = "".join(f"    server {host.name} {host.address}:{host.served.port}\n" for host in hosts)
        self._file = folder / "haproxy.cfg"
        self._file.write_text(CONFIGURATION.format(port=self.port) + (CHECKS if checks else "") + servers)

    def __enter__(self) -> Self:
        command = ["setpriv", "--pdeathsig=KILL", HAPROXY, "-q", "-db", "-f", str(self._file)]
        self._process = subprocess.Popen(command)
        url = f"http://127.0.0.1:{self.port}/health/live"

        def answers() -> bool:
            try:
                return httpx.get(url, headers={"Host": "localhost"}, trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, "HAProxy finds a host")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
