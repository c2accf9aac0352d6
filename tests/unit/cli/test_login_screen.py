"""Where a browser can help."""

import pytest

from services.cli.login_screen import has_browser


@pytest.mark.parametrize(
    ("environ", "system", "expected"),
    [
        ({}, "darwin", True),
        ({}, "win32", True),
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
    ],
)
def test_a_browser_is_opened_where_there_is_a_display(environ: dict[str, str], system: str, expected: bool) -> None:
    assert has_browser(environ, system) is expected
