"""
What a cluster's API server does for ServiceAccount tokens: it signs them, and publishes its keys over TLS.

A stand-in at the edge: keys, documents and paths are as Kubernetes 1.21 and later have them.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from services.chassis.peer.settings import ServiceAccountSettings
from services.chassis.server_tls import CertificateFiles, ServerTls
from tests.support.certificates import Authority
from tests.support.serving import running_server

ISSUER = "https://kubernetes.default.svc.cluster.local"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


class Signer:
    """One of the cluster's signing keys."""

    def __init__(self, key: Key | None = None, kid: str | None = None) -> None:
        self.key: Key = key or rsa_key()
        self.kid = kid or secrets.token_hex(8)
        self.alg = "RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256"

    @property
    def jwk(self) -> dict[str, Any]:
        public: Any = self.key.public_key()
        algorithm: Any = RSAAlgorithm if self.alg == "RS256" else ECAlgorithm
        return json.loads(algorithm.to_jwk(public)) | {"kid": self.kid, "alg": self.alg, "use": "sig"}

    def token(self, account: str, audience: str, *, head: dict[str, Any] | None = None, **changes: Any) -> str:
        """Sign a pod's token; `changes` replace claims, None takes one away."""
        claims = {name: value for name, value in (pod_claims(account, audience) | changes).items() if value is not None}
        return jwt.encode(claims, self.key, algorithm=self.alg, headers={"kid": self.kid} | (head or {}))


def pod_claims(account: str, audience: str) -> dict[str, Any]:
    """Return what a token of a pod says; `account` is namespace/name."""
    namespace, name = account.split("/")
    now = int(time.time())
    return {
        "aud": [audience],
        "exp": now + 600,
        "iat": now,
        "nbf": now,
        "iss": ISSUER,
        "jti": secrets.token_hex(16),
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "node-1", "uid": secrets.token_hex(16)},
            "pod": {"name": f"{name}-0", "uid": secrets.token_hex(16)},
            "serviceaccount": {"name": name, "uid": secrets.token_hex(16)},
        },
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }


class ApiServer:
    """An API server that publishes the keys of `signers`. `down` makes it fail, `asked` counts the calls for keys."""

    def __init__(self, directory: Path) -> None:
        self.signers = [Signer()]
        self.own_token = secrets.token_urlsafe(32)
        self.issuer = ISSUER
        self.asked = 0
        self.down = False
        self.settings = ServiceAccountSettings()
        self._directory = directory

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one call as an ASGI application."""
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
        self.asked += scope["path"] == "/openid/v1/jwks"
        status, body = 200, {}
        if self.down:
            status = 503
        elif authorization != f"Bearer {self.own_token}":
            status = 401
        elif scope["path"] == "/openid/v1/jwks":
            body = {"keys": [signer.jwk for signer in self.signers]}
        elif scope["path"] == "/.well-known/openid-configuration":
            body = {"issuer": self.issuer, "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks"}
        else:
            status = 404
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    def token(self, account: str, audience: str, **changes: Any) -> str:
        """Sign as the cluster does now."""
        return self.signers[0].token(account, audience, **changes)

    def mount(self, path: Path, account: str, audience: str) -> None:
        """Write a new token where a pod finds it, as the kubelet does: the file is swapped at once."""
        draft = path.with_name(f".{path.name}")
        draft.write_text(self.token(account, audience))
        draft.replace(path)


@asynccontextmanager
async def running_api_server(directory: Path, *allow: str) -> AsyncIterator[ApiServer]:
    """Run one; its `settings` are those of a service in this cluster that lets the accounts in `allow` call."""
    place = directory / "kubernetes"
    place.mkdir()
    server = ApiServer(place)
    authority = Authority(place, "kubernetes")
    authority.write(place / "api.crt", place / "api.key")
    tls = ServerTls(CertificateFiles("api server", place / "api.crt", place / "api.key"))
    (place / "token").write_text(server.own_token)
    async with running_server(server, tls=tls, lifespan="off") as running:
        server.settings = ServiceAccountSettings(
            allow=allow, api_server=running.url, token_file=str(place / "token"), ca_file=str(authority.file)
        )
        yield server
