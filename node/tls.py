"""TLS towards the hub, and who stands in its place when its certificate does not verify.

Inspecting proxies are common where our users work.  The session inside is safe from them; still the node refuses an
authority that nobody configured, and names the issuer, so that an administrator can decide.
"""

from __future__ import annotations

import base64
import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from protocol.errors import ConfigError, HubGoneError, TlsInspectedError, TransportError, WrongHubError

_PROBE_SECONDS: Final = 10
_MAX_CONNECT_ANSWER_BYTES: Final = 8_192
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
"""Verification results of OpenSSL (x509_vfy.h)."""


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.3, verified by the authorities in `ca_file`, else by the system's; `ConfigError` if it holds none."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"hub.ca_file {ca_file}: {getattr(error, 'strerror', None) or 'no certificate in it'}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def refused(error: ssl.SSLCertVerificationError, url: str, proxy: str | None) -> TransportError | WrongHubError:
    """What a certificate that does not verify means; looks at it once more to name its issuer.  Blocks."""
    host = urlsplit(url).hostname or ""
    code = getattr(error, "verify_code", 0)
    if code in {_NOT_YET_VALID, _EXPIRED}:
        found = "has expired" if code == _EXPIRED else "is not valid yet"
        return HubGoneError(f"the TLS certificate of {host} {found}, or the clock of this machine is wrong")
    if code in {_OTHER_HOST, _OTHER_ADDRESS}:
        return WrongHubError(f"the TLS certificate is not for {host}")
    return TlsInspectedError(f"the certificate shown for {host} was issued by {issuer(url, proxy)}")


def issuer(url: str, proxy: str | None) -> str:
    """Who issued the certificate shown at `url`, by its common name and organisation, for people; never trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is said over this connection
    host = urlsplit(url).hostname or ""
    try:
        with _reach(url, proxy) as line, context.wrap_socket(line, server_hostname=host) as shown:
            der = shown.getpeercert(binary_form=True) or b""
        return _common_name(x509.load_der_x509_certificate(der).issuer)
    except (OSError, ValueError):
        return "somebody unknown"


def _common_name(name: x509.Name) -> str:
    parts = [*name.get_attributes_for_oid(NameOID.COMMON_NAME), *name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return ", ".join(str(part.value) for part in parts) or name.rfc4514_string() or "somebody without a name"


def _reach(url: str, proxy: str | None) -> socket.socket:
    target = urlsplit(url)
    host, port = target.hostname or "", target.port or 443
    if proxy is None:
        return socket.create_connection((host, port), _PROBE_SECONDS)
    by = urlsplit(proxy)
    line = socket.create_connection((by.hostname or "", by.port or 80), _PROBE_SECONDS)
    line.sendall(
        f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{_login(by.username, by.password)}\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _MAX_CONNECT_ANSWER_BYTES:
        got = line.recv(1)  # not a byte beyond the answer: what follows belongs to TLS
        if not got:
            break
        answer += got
    return line


def _login(user: str | None, password: str | None) -> str:
    if user is None:
        return ""
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return f"Proxy-Authorization: Basic {base64.b64encode(pair).decode('ascii')}\r\n"
