"""
Which projected ServiceAccount tokens count. The keys are made here, and signed with as Kubernetes does.

Shown to fail once by: taking any algorithm of PyJWT's; not requiring an end; taking any audience; looking at the subject
alone; no bound on a token's life.
"""

import base64
import json
import random
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from services.chassis.peer.service_accounts import (
    LARGEST,
    KeysAway,
    ServiceAccounts,
    TokenRefused,
    looks_like_token,
    usable_keys,
)
from tests.support.kubernetes import ISSUER, Signer, pod_claims, rsa_key

AUDIENCE = "zr-credentials"
GATEWAY = "llm/gateway"

RSA = Signer(kid="rsa-1")
EC = Signer(ec.generate_private_key(ec.SECP256R1()), kid="ec-1")


class Published:
    """Keys that are there."""

    def __init__(self, *signers: Signer) -> None:
        self._keys = usable_keys({"keys": [signer.jwk for signer in signers]})

    async def find(self, kid: str) -> tuple[str, jwt.PyJWK] | None:
        return (ISSUER, self._keys[kid]) if kid in self._keys else None


ACCOUNTS = ServiceAccounts(Published(RSA, EC), audience=AUDIENCE, allow=[GATEWAY])


async def refusal(token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        await ACCOUNTS.check(token)
    return str(caught.value)


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize("signer", [RSA, EC], ids=["RS256", "ES256"])
async def test_a_pods_token_counts(signer: Signer) -> None:
    token = signer.token(GATEWAY, AUDIENCE)

    assert looks_like_token(token)
    assert await ACCOUNTS.check(token) == GATEWAY


async def test_a_token_may_be_for_several() -> None:
    assert await ACCOUNTS.check(RSA.token(GATEWAY, AUDIENCE, aud=["another", AUDIENCE])) == GATEWAY


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": timedelta(seconds=-60)}, "has expired"),
        ({"exp": None}, "not what its issuer signed"),
        ({"exp": "never"}, "not what its issuer signed"),
        ({"exp": float("inf")}, "not what its issuer signed"),
        ({"iat": None}, "not what its issuer signed"),
        ({"exp": timedelta(days=1)}, "good for more than 3600 s"),
        ({"nbf": timedelta(seconds=120)}, "not valid yet"),
        ({"iat": timedelta(seconds=120)}, "not valid yet"),
        ({"aud": ["zr-captcha"]}, f"not for {AUDIENCE}"),
        ({"aud": []}, "not what its issuer signed"),
        ({"aud": None}, "not what its issuer signed"),
        ({"aud": {"a": AUDIENCE}}, f"not for {AUDIENCE}"),
        ({"iss": "https://another.example"}, f"not from {ISSUER}"),
        ({"iss": None}, "not what its issuer signed"),
        ({"sub": None}, "not what its issuer signed"),
        ({"sub": "system:serviceaccount:llm:another"}, "not that of a ServiceAccount"),
        ({"sub": "admin"}, "not that of a ServiceAccount"),
        ({"kubernetes.io": None}, "not that of a ServiceAccount"),
        ({"kubernetes.io": "llm/gateway"}, "not that of a ServiceAccount"),
        ({"kubernetes.io": {"namespace": "llm"}}, "not that of a ServiceAccount"),
        ({"kubernetes.io": {"namespace": "other", "serviceaccount": {"name": "gateway"}}}, "not that of a"),
    ],
)
async def test_a_token_that_says_something_else_is_refused(claims: dict[str, Any], why: str) -> None:
    now = time.time()  # not that of the collection, which may be minutes ago
    said = {
        name: now + value.total_seconds() if isinstance(value, timedelta) else value for name, value in claims.items()
    }
    assert why in await refusal(RSA.token(GATEWAY, AUDIENCE, **said))


@pytest.mark.parametrize("account", ["llm/captcha", "other/gateway", "llm/gateway-2"])
async def test_another_account_is_named_and_refused(account: str) -> None:
    assert f"the account {account} is none of those" in await refusal(RSA.token(account, AUDIENCE))


async def test_clocks_may_differ_a_little() -> None:
    now = time.time()

    assert await ACCOUNTS.check(RSA.token(GATEWAY, AUDIENCE, exp=now - 10, iat=now - 610)) == GATEWAY
    assert await ACCOUNTS.check(RSA.token(GATEWAY, AUDIENCE, nbf=now + 10, iat=now + 10)) == GATEWAY


# Whose signature it is


async def test_a_signature_of_another_key_under_a_known_id_is_refused() -> None:
    assert "not what its issuer signed" in await refusal(Signer(rsa_key(), kid="rsa-1").token(GATEWAY, AUDIENCE))


async def test_a_key_that_nobody_publishes_is_refused() -> None:
    assert "a key that its issuer does not publish" in await refusal(Signer(EC.key, "x").token(GATEWAY, AUDIENCE))


@pytest.mark.parametrize("kid", ["", None, 7, ["rsa-1"], {"kid": "rsa-1"}, "../rsa-1", "ec-1"])
async def test_a_wrong_key_id_is_refused(kid: object) -> None:
    good = RSA.token(GATEWAY, AUDIENCE).split(".")
    await refusal(".".join([part({"alg": "RS256", "kid": kid}), *good[1:]]))


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", 7, "HS256", "HS512", "PS256", "EdDSA", ["RS256"]], ids=repr
)
async def test_another_algorithm_is_refused(alg: object) -> None:
    body = part(pod_claims(GATEWAY, AUDIENCE))
    for signature in ("", "AAAA"):
        why = await refusal(f"{part({'alg': alg, 'kid': 'rsa-1', 'typ': 'JWT'})}.{body}.{signature}")
        assert "algorithms" in why or "head" in why


@pytest.mark.parametrize("form", ["pem", "jwk"])
async def test_a_public_key_is_no_shared_secret(form: str) -> None:
    """The classic confusion: what everybody may read, taken for the secret of an HMAC."""
    public = RSA.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = public if form == "pem" else json.dumps(RSA.jwk).encode()
    head, body = part({"alg": "HS256", "kid": "rsa-1"}), part(pod_claims(GATEWAY, AUDIENCE))
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), secret)

    assert "algorithms" in await refusal(f"{head}.{body}.{part(mac)}")


async def test_a_key_is_good_for_its_own_algorithm_alone() -> None:
    body = pod_claims(GATEWAY, AUDIENCE)
    swapped = jwt.encode(body, RSA.key, algorithm="RS256", headers={"kid": "ec-1"})
    longer = jwt.encode(body, RSA.key, algorithm="RS512", headers={"kid": "rsa-1"})

    for token in (swapped, longer):
        assert "not what its issuer signed" in await refusal(token)


@pytest.mark.parametrize(
    "head", [{"jku": "https://evil.example/jwks"}, {"jwk": RSA.jwk}, {"x5u": "https://evil.example"}]
)
async def test_a_key_that_the_token_brings_along_is_not_looked_at(head: dict[str, Any]) -> None:
    stranger = Signer(rsa_key(), kid="rsa-1")
    if "jwk" in head:
        head = {"jwk": stranger.jwk}

    assert "not what its issuer signed" in await refusal(stranger.token(GATEWAY, AUDIENCE, head=head))


async def test_an_extension_that_must_be_understood_is_refused() -> None:
    await refusal(RSA.token(GATEWAY, AUDIENCE, head={"crit": ["exp"], "exp": 1}))


# Texts that are no tokens


async def test_a_token_that_is_too_long_is_not_read() -> None:
    assert f"longer than {LARGEST}" in await refusal(RSA.token(GATEWAY, AUDIENCE, padding="x" * LARGEST))


async def test_changed_tokens_are_refused_whatever_is_changed() -> None:
    draw = random.Random(1)
    good = RSA.token(GATEWAY, AUDIENCE)
    for _ in range(3_000):
        at = draw.randrange(len(good))
        changed = draw.choice(
            [
                good[:at] + draw.choice("AZaz09-_.=+/ é\x00") + good[at + 1 :],
                good[:at],
                good[:at] + good[at + 1 :],
                good[at:] + good[:at],
                good[:at] + "." + good[at:],
            ]
        )
        # The last character of a signature holds bits that no byte is made of: another one is the same signature.
        if changed != good and changed[:-1] != good[:-1]:
            await refusal(changed)


@pytest.mark.parametrize("text", [b"[1]", b"{}", b"null", b"[" * 1000, b"\xff\xfe", b'{"alg":"RS256"', b'{"alg":NaN}'])
async def test_heads_that_are_none_are_refused(text: bytes) -> None:
    await refusal(f"{part(text)}.{part({})}.AAAA")


def test_other_tokens_do_not_look_like_one() -> None:
    for text in ("", "abc", "a.b.c", "ey.b", "zrp_abc.def.ghi", "x" * 43):
        assert not looks_like_token(text)


async def test_keys_that_cannot_be_had_are_no_verdict() -> None:
    class Away:
        async def find(self, kid: str) -> tuple[str, jwt.PyJWK] | None:
            raise KeysAway

    with pytest.raises(KeysAway):
        await ServiceAccounts(Away(), audience=AUDIENCE, allow=[GATEWAY]).check(RSA.token(GATEWAY, AUDIENCE))


# The key set


def test_keys_that_could_not_verify_are_left_out() -> None:
    edwards = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key()))
    document = {
        "keys": [
            RSA.jwk,
            EC.jwk,
            Signer(rsa_key(1024), kid="short").jwk,
            RSA.jwk | {"kid": "enc", "use": "enc"},
            {name: value for name, value in RSA.jwk.items() if name != "kid"},
            {"kty": "oct", "k": part(b"x" * 32), "kid": "shared"},
            edwards | {"kid": "edwards"},
            {"kty": "RSA", "kid": "broken", "n": "?", "e": "AQAB"},
            "no key",
        ]
    }

    assert set(usable_keys(document)) == {"rsa-1", "ec-1"}


@pytest.mark.parametrize(
    "document", [{}, {"keys": []}, {"keys": "x"}, {"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}]
)
def test_a_document_without_a_key_is_told(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no key"):
        usable_keys(document)
