"""The recipes for a proxy in front: read by nginx, and the same in both where it matters."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import trustme

from node.web.app import MAX_FORM_BYTES
from protocol.limits import MAX_OFFER_BYTES, MIB
from tests.deploy.places import DEPLOY

NGINX = (DEPLOY / "nginx.conf").read_text()
CADDY = (DEPLOY / "Caddyfile").read_text()


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


@pytest.mark.full
def test_nginx_reads_its_recipe(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert nginx, "nginx is missing: Debian's package nginx-light has it"
    authority = trustme.CA()
    text = NGINX.replace("/run/nginx.pid", str(tmp_path / "pid")).replace("/var/log/nginx", str(tmp_path))
    for name, site in (("hub", "hub.example.org"), ("web", "valija.example.org")):
        certificate = authority.issue_cert(site)
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        text = text.replace(f"/etc/ssl/valija/{name}.pem", str(tmp_path / f"{name}.pem"))
        text = text.replace(f"/etc/ssl/private/{name}.key", str(tmp_path / f"{name}.key"))
    recipe = tmp_path / "nginx.conf"
    recipe.write_text(text)
    done = subprocess.run(
        [nginx, "-t", "-q", "-e", str(tmp_path / "error.log"), "-c", str(recipe)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
