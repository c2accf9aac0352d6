"""Proofs between our processes."""

import pytest

from services.chassis.peer.proof import MAC_HEADER, NONCE_HEADER, TIME_HEADER, Proof, sign, token_of, verify

NOW = 1_800_000_000.0
NONCE = "A" * 22
TOKEN = "t" * 43


def judged(body: bytes = b"{}", *, now: float = NOW, audience: str = "zr-credentials", **changes: str) -> Proof:
    headers = sign(TOKEN, "POST", "/v1/reports", b"{}", now=NOW, nonce=NONCE, audience=audience)
    return verify(TOKEN, "POST", "/v1/reports", body, headers | changes, now=now, audience="zr-credentials")[0]


def test_a_signed_call_is_good_and_names_its_nonce() -> None:
    headers = sign(TOKEN, "POST", "/v1/reports", b"{}", now=NOW, nonce=NONCE, audience="zr-credentials")

    assert verify(TOKEN, "POST", "/v1/reports", b"{}", headers, now=NOW, audience="zr-credentials") == (
        Proof.GOOD,
        NONCE,
    )
    assert verify(TOKEN, "PUT", "/v1/reports", b"{}", headers, now=NOW, audience="zr-credentials") == (Proof.FORGED, "")
    assert verify(TOKEN, "POST", "/v1/reports?a=b", b"{}", headers, now=NOW, audience="zr-credentials") == (
        Proof.FORGED,
        "",
    )
    assert verify("u" * 43, "POST", "/v1/reports", b"{}", headers, now=NOW, audience="zr-credentials") == (
        Proof.FORGED,
        "",
    )


@pytest.mark.parametrize(
    ("changes", "proof"),
    [
        ({NONCE_HEADER: "B" * 22}, Proof.FORGED),
        ({NONCE_HEADER: "A" * 21}, Proof.MALFORMED),
        ({NONCE_HEADER: "A" * 21 + "/"}, Proof.MALFORMED),
        ({NONCE_HEADER: NONCE + "\n"}, Proof.MALFORMED),
        ({TIME_HEADER: str(int(NOW) + 1)}, Proof.FORGED),
        ({TIME_HEADER: "x"}, Proof.MALFORMED),
        ({TIME_HEADER: ""}, Proof.MALFORMED),
        ({MAC_HEADER: ""}, Proof.FORGED),
        ({MAC_HEADER: "é"}, Proof.MALFORMED),
    ],
)
def test_whatever_is_changed_is_noticed(changes: dict[str, str], proof: Proof) -> None:
    assert judged(**changes) is proof


def test_the_body_counts() -> None:
    assert judged(b"{} ") is Proof.FORGED


def test_a_call_to_another_service_is_not_one_to_us() -> None:
    assert judged(audience="zr-captcha") is Proof.FORGED


@pytest.mark.parametrize(
    ("late", "proof"), [(30, Proof.GOOD), (-30, Proof.GOOD), (31, Proof.TOO_OLD), (-31, Proof.TOO_OLD)]
)
def test_half_a_minute_is_forgiven(late: float, proof: Proof) -> None:
    assert judged(now=NOW + late) is proof


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Bearer two", "two"),
        ("bearer one", "one"),
        ("Bearer three", None),
        ("Basic one", None),
        ("one", None),
        ("Bearer ", None),
        ("Bearer é", None),
        (None, None),
    ],
)
def test_a_token_is_one_of_those_accepted(header: str | None, found: str | None) -> None:
    assert token_of(header, ["one", "two"]) == found
