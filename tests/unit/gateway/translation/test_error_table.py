"""The table of upstream errors, row by row against upstream.md section 7 and translation.md A13."""

import pytest

from services.gateway.translation.error_table import ROW_BY_CODE, ROWS, STATUS_BY_WORD, types_of
from services.gateway.translation.fault import Action

# codes, status for OpenAI clients, status for Anthropic clients, action, x-should-retry
TABLE = [
    (range(1000, 1006), 401, 401, Action.RENEW_CREDENTIAL, False),
    ((1110, 1111, 1112, 1120, 1121, 1220), 403, 403, Action.DISABLE_CREDENTIAL, None),
    ((1113,), 429, 402, Action.DISABLE_CREDENTIAL, False),
    ((1210, 1212, 1213, 1214, 1215), 400, 400, Action.PASS, None),
    ((1211, 1221, 1222), 404, 404, Action.PASS, None),
    ((1200, 1230, 1234), 502, 502, Action.RETRY, None),
    ((1261,), 400, 400, Action.PASS, None),
    ((1300, 1301), 400, 400, Action.PASS, None),
    ((1302, 1303), 429, 429, Action.THROTTLE, None),
    ((1304,), 429, 429, Action.COOL_CREDENTIAL, False),
    ((1305, 1312), 503, 529, Action.OVERLOAD, None),
    ((1308, 1316, 1317, 1318, 1319, 1320, 1321), 429, 429, Action.COOL_CREDENTIAL, False),
    ((1309, 1314), 429, 429, Action.DISABLE_CREDENTIAL, False),
    ((1310,), 429, 429, Action.COOL_CREDENTIAL, False),
    ((1311,), 429, 429, Action.BLOCK_MODEL, False),
    ((1313, 1315), 429, 429, Action.STOP, False),
    ((3007,), 403, 403, Action.CAPTCHA, False),
]


@pytest.mark.parametrize(("codes", "status", "anthropic_status", "action", "should_retry"), TABLE)
def test_every_code_has_its_status_and_action(
    codes: tuple[int, ...], status: int, anthropic_status: int, action: Action, should_retry: bool | None
) -> None:
    for code in codes:
        row = ROW_BY_CODE[code]
        assert (row.status, row.anthropic_status or row.status) == (status, anthropic_status)
        assert (row.action, row.should_retry) == (action, should_retry)


def test_the_table_holds_these_codes_and_no_others() -> None:
    listed = [code for codes, *_ in TABLE for code in codes]

    assert sorted(listed) == sorted(ROW_BY_CODE)
    assert len(listed) == sum(len(row.codes) for row in ROWS)


@pytest.mark.parametrize(
    ("status", "anthropic", "openai", "code"),
    [
        (400, "invalid_request_error", "invalid_request_error", None),
        (401, "authentication_error", "invalid_request_error", "invalid_api_key"),
        (402, "billing_error", "insufficient_quota", "insufficient_quota"),
        (403, "permission_error", "invalid_request_error", "permission_denied"),
        (404, "not_found_error", "invalid_request_error", "model_not_found"),
        (405, "invalid_request_error", "invalid_request_error", None),
        (408, "timeout_error", "server_error", "timeout"),
        (413, "request_too_large", "invalid_request_error", None),
        (415, "invalid_request_error", "invalid_request_error", None),
        (429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded"),
        (500, "api_error", "server_error", None),
        (502, "api_error", "server_error", None),
        (503, "api_error", "server_error", None),
        (504, "timeout_error", "server_error", "timeout"),
        (529, "overloaded_error", "server_error", None),
    ],
)
def test_a_status_gives_the_type_in_either_dialect(status: int, anthropic: str, openai: str, code: str | None) -> None:
    types = types_of(status)

    assert (types.anthropic, types.openai, types.openai_code) == (anthropic, openai, code)


def test_every_word_of_either_dialect_leads_back_to_a_status_of_that_type() -> None:
    for word in ("authentication_error", "permission_error", "rate_limit_error", "overloaded_error", "billing_error"):
        assert types_of(STATUS_BY_WORD[word]).anthropic == word
