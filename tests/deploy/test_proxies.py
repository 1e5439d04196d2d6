"""The recipes for a proxy in front: run by nginx and by Caddy, and the same in both where it matters."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from node.web.app import MAX_FORM_BYTES
from protocol.limits import MAX_OFFER_BYTES, MIB
from tests.deploy.places import DEPLOY
from tests.support.association import free_port
from tests.support.node_home import eventually

NGINX = (DEPLOY / "nginx.conf").read_text()
CADDY = (DEPLOY / "Caddyfile").read_text()
HUB, PAGES = "hub.example.org", "valija.example.org"
PACKAGES = {"nginx": "nginx-light", "caddy": "caddy"}
SECRET = "a-door-that-opens-once"


def test_what_each_passes_on() -> None:
    assert set(re.findall(r"location (?:= )?(/\S*) \{", NGINX)) == {"/session", "/log/", "/livez", "/"}
    assert "@outside path /session /log/* /livez\n" in CADDY
    assert "location / { return 404; }" in NGINX
    assert re.search(r"handle \{[^}]*respond 404", CADDY)


def test_the_same_addresses() -> None:
    assert set(re.findall(r"http://(127[\d.]+:\d+)", NGINX)) == set(re.findall(r"reverse_proxy (\S+)", CADDY))
    assert NGINX.count('trusted_proxy = "127.0.0.1"') == CADDY.count('trusted_proxy = "127.0.0.1"') == 1


def test_bodies_that_are_allowed_pass() -> None:
    for text, pattern in ((NGINX, r"client_max_body_size (\d+)m"), (CADDY, r"max_size (\d+)MB")):
        hub, pages = (int(each) for each in re.findall(pattern, text))
        # Caddy's megabytes are of ten.
        assert hub * 1_000_000 > MAX_OFFER_BYTES
        assert pages * 1_000_000 > MAX_FORM_BYTES >= MIB


def test_only_the_proxys_own_word_for_an_address_goes_on() -> None:
    assert "$proxy_add_x_forwarded_for" not in NGINX
    assert NGINX.count("proxy_set_header X-Forwarded-For $remote_addr;") == 2
    directives = [line for line in CADDY.splitlines() if not line.lstrip().startswith("#")]
    assert not [line for line in directives if "trusted_proxies" in line or "X-Forwarded-For" in line]


def test_each_site_speaks_tls_1_3_alone() -> None:
    assert re.findall(r"ssl_protocols (.*?);", NGINX) == ["TLSv1.3"]
    assert re.findall(r"\tprotocols (tls\S+)", CADDY) == ["tls1.3", "tls1.3"]


def test_a_change_is_taken_as_each_says() -> None:
    # `systemctl reload caddy` asks the administration interface.
    assert "admin off" in CADDY
    assert "reload caddy" not in CADDY


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy of the recipe, at a free port in place of 443 and 127.0.0.1, before stand-ins of hub and pages."""

    kind: str
    port: int
    behind: dict[str, int]
    folder: Path
    authority: trustme.CA

    def recipe(self) -> Path:
        text = {"nginx": NGINX, "caddy": CADDY}[self.kind]
        text = text.replace("/run/nginx.pid", str(self.folder / "pid")).replace("/var/log/nginx", str(self.folder))
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        text = text.replace("listen 80 ", f"listen 127.0.0.1:{free_port()} ")
        for name, site in (("hub", HUB), ("web", PAGES)):
            certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
            issued = self.authority.issue_cert(site)
            issued.cert_chain_pems[0].write_to_path(certificate)
            issued.private_key_pem.write_to_path(key)
            text = text.replace(f"/etc/ssl/valija/{name}.pem", str(certificate))
            text = text.replace(f"/etc/ssl/private/{name}.key", str(key))
            text = text.replace(f"{site} {{\n\ttls {{", f"{site}:{self.port} {{\n\ttls {certificate} {key} {{")
        for port, own in self.behind.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}")
        path = self.folder / self.kind
        path.write_text(text)
        return path

    def command(self, *, check: bool) -> list[str]:
        found = shutil.which(self.kind, path="/usr/sbin:/usr/bin")
        assert found, f"{self.kind} is missing: Debian's package {PACKAGES[self.kind]} has it"
        recipe = str(self.recipe())
        if self.kind == "caddy":
            return [found, "validate" if check else "run", "--config", recipe, "--adapter", "caddyfile"]
        return [
            found,
            "-e",
            str(self.folder / "error.log"),
            "-c",
            recipe,
            *(["-t", "-q"] if check else ["-g", "daemon off;"]),
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with (self.folder / "said").open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                *self.command(check=False), env=self.environment, stderr=said
            )
        try:
            await eventually("the proxy", self.answers)
            yield
        finally:
            process.terminate()
            await process.wait()

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}

    async def answers(self) -> bool:
        try:
            await self.ask(HUB, "/nothing")
        except OSError:
            return False
        return True

    async def ask(
        self, site: str, path: str, body: bytes = b"", *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> str:
        context = ssl.create_default_context()
        context.maximum_version = newest
        self.authority.configure_trust(context)
        head = f"POST {path} HTTP/1.1\r\nHost: {site}\r\nX-Forwarded-For: 192.0.2.66\r\nConnection: close\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=site)
        try:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            async with asyncio.timeout(20):
                return (await reader.read()).decode()
        finally:
            writer.close()

    def said(self) -> str:
        return "".join(each.read_text() for each in (self.folder / "said", self.folder / "error.log") if each.exists())


@pytest.fixture(params=["nginx", "caddy"])
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Front:
    return Front(request.param, free_port(), {"8440": free_port(), "8460": free_port()}, tmp_path, trustme.CA())


@pytest.mark.full
def test_each_reads_its_recipe(front: Front) -> None:
    command = front.command(check=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=front.environment)
    known = ('"level":"info"', "redirects are disabled", "no OCSP stapling")
    told = [line for line in done.stderr.splitlines() if not any(each in line for each in known)]
    assert (done.returncode, told) == (0, [])


async def stand_in(request: web.Request) -> web.Response:
    """What a stand-in says: what came, and for whom."""
    size = len(await request.read())
    return web.json_response({"path": request.path, "size": size, "for": request.headers.get("X-Forwarded-For")})


@asynccontextmanager
async def standing_in(ports: Iterable[int]) -> AsyncIterator[None]:
    app = web.Application(client_max_size=64 * MIB)
    app.router.add_route("*", "/{path:.*}", stand_in)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        for port in ports:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


@pytest.mark.full
async def test_each_does_what_its_recipe_says(front: Front) -> None:
    async with front.running():
        async with standing_in(front.behind.values()):
            for site, path in ((HUB, "/log/offers"), (HUB, "/livez"), (PAGES, "/inbox")):
                answer = await front.ask(site, path, b"x" * MIB)
                assert (f'"path": "{path}"' in answer, f'"size": {MIB}' in answer) == (True, True), answer
                # /livez tells nobody anything.
                assert path == "/livez" or '"for": "127.0.0.1"' in answer, answer
            for path in ("/metrics", "/readyz", "/status", "/log/../metrics", "//metrics"):
                assert " 404 " in (await front.ask(HUB, path)).partition("\r\n")[0], path
            for site in (HUB, PAGES):
                assert "200" not in (await front.ask(site, "/log/offers", b"x" * 6_000_000)).partition("\r\n")[0]
                with pytest.raises(ssl.SSLError):
                    await front.ask(site, "/livez", newest=ssl.TLSVersion.TLSv1_2)
        # Nobody is behind it: its log does not tell which page was asked for, the door of somebody invited among them.
        assert " 502 " in await front.ask(PAGES, f"/invitation/{SECRET}")
    assert SECRET not in front.said()
