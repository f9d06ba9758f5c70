"""How long the law gives: business days by each country's holidays, and months."""

from datetime import date

import pytest

from forbear.domain.legal_clock import CLOCKS, Jurisdiction, Request, find_clock


def test_x05_ten_business_days_from_23_december_2026_with_us_federal_holidays():
    # Christmas Day (a Friday) and New Year's Day do not count.
    assert find_clock(Jurisdiction.US, Request.EVERYTHING).find_due_day(date(2026, 12, 23)) == date(2027, 1, 8)


@pytest.mark.parametrize(
    ("jurisdiction", "request_kind", "received", "due"),
    [
        # PH-01: ten business days for calls, Thanksgiving and the weekend between them left out.
        ("us", "scopes", date(2026, 11, 20), date(2026, 12, 7)),
        ("us-ca", "everything", date(2026, 12, 23), date(2027, 1, 8)),
        ("us-ca", "no_sharing", date(2026, 12, 23), date(2027, 1, 15)),
        ("us-ca", "change", date(2026, 12, 23), date(2027, 2, 6)),
        # Canada Day.
        ("ca", "everything", date(2026, 6, 24), date(2026, 7, 9)),
        # Australia Day.
        ("au", "everything", date(2026, 1, 23), date(2026, 2, 2)),
        ("eu", "everything", date(2026, 1, 31), date(2026, 2, 28)),
        ("eu", "change", date(2027, 12, 31), date(2028, 1, 31)),
        ("uk", "no_sharing", date(2026, 11, 24), date(2026, 12, 24)),
        ("other", "everything", date(2026, 12, 24), date(2026, 12, 31)),
    ],
)
def test_each_law_has_its_clock(jurisdiction, request_kind, received, due):
    assert find_clock(Jurisdiction(jurisdiction), Request(request_kind)).find_due_day(received) == due


def test_every_jurisdiction_has_a_clock_and_says_where_it_stands():
    assert set(CLOCKS) == set(Jurisdiction)
    assert all(find_clock(one, request).law for one in Jurisdiction for request in Request)
