"""Usage is added up and shown as people and scripts read it."""

from datetime import datetime

from services.cli.usage_session import as_table, bar, csv_lines, grouped
from services.gateway.books.port import HOUR, Tally, UsageKey

HOUR_NOW = 500_000
USAGE = {
    UsageKey(HOUR_NOW - 1, "glm-5.2", "abc", "crd_1"): Tally(requests=2, failures=1, input=100, output=10),
    UsageKey(HOUR_NOW, "glm-5.2", "abc", "crd_1"): Tally(requests=1, input=50, cache_read=5, cache_write=6, output=7),
    UsageKey(HOUR_NOW, "glm-4.7", "", "crd_1"): Tally(requests=1, output=1000, reasoning=900),
}


def test_the_most_comes_first() -> None:
    groups = grouped(USAGE, "model")

    assert [("glm-4.7", 1000), ("glm-5.2", 178)] == [(group.name, group.tally.tokens) for group in groups]
    assert 3 == groups[1].tally.requests


def test_hours_come_in_order_and_without_gaps() -> None:
    groups = grouped(USAGE, "hour", now=HOUR_NOW * HOUR + 5, hours=4)

    assert [0, 0, 110, 1068] == [group.tally.tokens for group in groups]
    assert datetime.fromtimestamp(HOUR_NOW * HOUR).astimezone().strftime("%Y-%m-%d %H:00") == groups[-1].name


def test_keys_are_called_by_name_where_one_is_known() -> None:
    groups = grouped(USAGE, "key", names={"abc": "laptop"})

    assert ["-", "laptop (abc)"] == [group.name for group in groups]


def test_a_table_has_bars_and_a_sum() -> None:
    heads, rows = as_table(grouped(USAGE, "model"), "model")

    assert "Model" == heads[0]
    assert ("glm-4.7", "1", "-", "0", "0", "1,000", "900", "█" * 24 + " 1,000") == rows[0]
    assert ("all", "4", "1", "150", "5 +6", "1,017", "900", "") == rows[-1]
    assert 1 == len(as_table(grouped(USAGE, "credential"), "credential")[1])


def test_a_bar_is_as_long_as_its_number() -> None:
    assert ["████ 8", "██ 4", "▌ 1", "0", "0"] == [bar(8, 8, 4), bar(4, 8, 4), bar(1, 8, 4), bar(0, 8, 4), bar(0, 0, 4)]


def test_csv_has_every_row_and_quotes_what_needs_it() -> None:
    head, row = csv_lines({UsageKey(HOUR_NOW, 'a,"b', "k", "c"): Tally(requests=1)})

    assert head == "hour,model,key,credential,requests,failures,input,cache_read,cache_write,output,reasoning"
    assert row.endswith(',"a,""b",k,c,1,0,0,0,0,0,0')


def test_json_has_every_number() -> None:
    shown = grouped(USAGE, "model")[0].shown()

    assert {"name": "glm-4.7", "requests": 1, "tokens": 1000, "reasoning": 900}.items() <= shown.items()
