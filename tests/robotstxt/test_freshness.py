"""RFC 9309 section 2.4 and RFC 9111 section 5.2.2, as tables."""

from __future__ import annotations

import pytest

from outbounds.robotstxt import freshness

LIFETIMES = [  # Cache-Control, Age, seconds
    ("", "", 3600), ("max-age=600", "", 600), ("public, max-age=600", "", 600),
    ('MAX-AGE="600"', "", 600), ("max-age=600, s-maxage=900", "", 900),
    ("max-age=999999999", "", 86400), ("max-age=0", "", 60), ("no-store", "", 60),
    ("no-cache, max-age=600", "", 60), ("private, max-age=600", "", 60),
    ("max-age=600", "100", 500), ("max-age=600", "9999", 60), ("max-age=600", "-5", 600),
    ("max-age=-1", "", 3600), ("max-age=1e9", "", 3600), ("max-age=nan", "", 3600),
    ("max-age", "", 3600), ("max-age=" + "9" * 400, "", 3600), ("max-age=٣", "", 3600),
    ("max-age=600, max-age=1", "", 600), (",,=,", "", 3600),
]


@pytest.mark.parametrize(("cache_control", "age", "seconds"), LIFETIMES)
def test_lifetime(cache_control: str, age: str, seconds: float) -> None:
    assert freshness.lifetime(cache_control, age) == seconds


@pytest.mark.parametrize(("field", "seconds"), [
    ("", 30), ("120", 120), ("1", 30), ("86400", 600), ("soon", 30), ("-1", 30),
    ("Wed, 21 Oct 2026 07:28:00 GMT", 30),
])
def test_retry(field: str, seconds: float) -> None:
    assert freshness.retry(field) == seconds
