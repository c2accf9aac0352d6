import base64

import pytest

from services.gateway.translation.requests.responses_reasoning import Carried, opened, sealed


@pytest.mark.parametrize(
    "carried", [Carried("why", "sig"), Carried(thinking="é\n"), Carried(redacted="zzz"), Carried(), Carried("", "s")]
)
def test_what_was_sealed_is_opened_again(carried: Carried) -> None:
    assert opened(sealed(carried)) == carried


@pytest.mark.parametrize(
    "content",
    [
        "",
        "gAAAAABo",
        "zcode1.",
        "zcode1.%%%",
        "zcode1.e30",  # no padding
        "zcode1." + base64.b64encode(b"[]").decode(),
        "zcode1." + base64.b64encode(b'{"thinking":1}').decode(),
        "zcode1." + base64.b64encode(b'{"other":""}').decode(),
        "zcode1." + base64.b64encode(b'{"thinking":"\xff"}').decode(),
        "zcode1." + base64.b64encode(b"[" * 100_000).decode(),
        "zcode1.é",
        "zcode1.e30=\n",
    ],
)
def test_what_this_gateway_did_not_write_stays_closed(content: str) -> None:
    assert opened(content) is None
