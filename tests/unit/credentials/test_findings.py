"""What a report changes in a record."""

import msgspec
import pytest

from services.credentials.contract import Kind, Plan, Report, ReportKind, State
from services.credentials.findings import STRIKE_WINDOW, Strikes, after, login_required, standing_of, stood
from services.credentials.records import Credential, Secrets, Standing

NOW = 1000.0
RECORD = Credential(
    id="crd_a", provider="zai", kind=Kind.OAUTH, label="", secrets=Secrets(), created_at=0.0, rotated_at=0.0, version=3
)


def report(kind: ReportKind, **fields: object) -> Report:
    return msgspec.structs.replace(Report(credential_id="crd_a", version=3, kind=kind), **fields)


@pytest.mark.parametrize(
    ("until", "usable_at"),
    [(1060.0, 1060.0), (None, 1001.0), (10.0, 1001.0), (1e12, NOW + 32 * 86_400)],
)
def test_cooling_lasts_as_long_as_said_within_reason(until: float | None, usable_at: float) -> None:
    found = after(RECORD, report(ReportKind.COOLING, until=until, reason="1308"), NOW)

    assert (found.state, found.usable_at, found.reason) == (State.COOLING, usable_at, "1308")
    assert found.start_plan == Standing()


def test_the_plans_cool_apart() -> None:
    found = after(RECORD, report(ReportKind.COOLING, until=1060.0, plan=Plan.START), NOW)

    assert (found.state, found.start_plan.state, found.start_plan.usable_at) == (State.READY, State.COOLING, 1060.0)


def test_disabled_keeps_the_code_and_not_more_than_that() -> None:
    found = after(RECORD, report(ReportKind.DISABLED, reason="1" * 1000), NOW)

    assert (found.state, found.reason) == (State.DISABLED, "1" * 128)


@pytest.mark.parametrize("state", [State.DISABLED, State.LOGIN_REQUIRED])
@pytest.mark.parametrize("kind", [ReportKind.COOLING, ReportKind.DISABLED])
def test_what_a_person_must_mend_stays_as_it_is(state: State, kind: ReportKind) -> None:
    record = msgspec.structs.replace(RECORD, state=state, reason="first")

    assert after(record, report(kind, reason="second"), NOW) == record


def test_blocked_models_are_kept_once_and_within_bounds() -> None:
    once = after(RECORD, report(ReportKind.MODEL_BLOCKED, model="glm-5"), NOW)
    full = msgspec.structs.replace(RECORD, blocked_models=tuple(map(str, range(64))))

    assert once.blocked_models == ("glm-5",)
    assert after(once, report(ReportKind.MODEL_BLOCKED, model="glm-5"), NOW) == once
    assert after(full, report(ReportKind.MODEL_BLOCKED, model="glm-5"), NOW) == full
    for model in (None, "", "m" * 129):
        assert after(RECORD, report(ReportKind.MODEL_BLOCKED, model=model), NOW) == RECORD


def test_a_refusal_changes_nothing_by_itself() -> None:
    assert after(RECORD, report(ReportKind.UNAUTHORIZED), NOW) == RECORD


@pytest.mark.parametrize("plan", list(Plan))
def test_a_login_that_is_over_says_so_whatever_else_is_the_matter(plan: Plan) -> None:
    disabled = stood(RECORD, plan, Standing(state=State.DISABLED, reason="1113"))
    found = login_required(disabled, plan, "invalid_grant")
    other = next(each for each in Plan if each is not plan)

    assert standing_of(found, plan) == Standing(state=State.LOGIN_REQUIRED, reason="invalid_grant")
    assert standing_of(found, other) == Standing()


def test_the_third_refusal_within_ten_minutes_is_one_too_many() -> None:
    strikes = Strikes()
    late = NOW + STRIKE_WINDOW - 1

    assert [strikes.add("a", NOW), strikes.add("a", NOW + 1), strikes.add("b", NOW)] == [False, False, False]
    assert [strikes.add("a", late), strikes.add("a", late + STRIKE_WINDOW)] == [True, False]
