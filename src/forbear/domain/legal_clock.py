"""How long the law gives for what somebody has asked for, as data; holidays come from the library of that name.

Only for telling staff what is due: an opt-out is in force as soon as it is written down. Where it is not known which
calendar counts, fewer holidays are taken and the day comes earlier.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

_SATURDAY: Final = 5


class Jurisdiction(StrEnum):
    """Whose law counts."""

    US = "us"
    CALIFORNIA = "us-ca"
    CANADA = "ca"
    AUSTRALIA = "au"
    EU = "eu"
    UK = "uk"
    OTHER = "other"


class Request(StrEnum):
    """What somebody asks for."""

    EVERYTHING = "everything"
    SCOPES = "scopes"
    NO_SHARING = "no_sharing"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Clock:
    """One rule: so many business days (by a country's holidays), days or months, and where it stands."""

    law: str
    business_days: int = 0
    days: int = 0
    months: int = 0
    holidays_of: str | None = None

    def find_due_day(self, received: date) -> date:
        """The last day; the day of receipt does not count."""
        if self.business_days:
            return _add_business_days(received, self.business_days, self.holidays_of)
        return _add_months(received, self.months) if self.months else received + timedelta(days=self.days)


_US: Final = Clock(
    "15 USC 7704(a)(4)(A) for e-mail; 47 CFR 64.1200(a)(10), (d)(3) for calls", business_days=10, holidays_of="US"
)
_GDPR: Final = Clock("GDPR article 12(3)", months=1)
_UK_GDPR: Final = Clock("UK GDPR article 12(3)", months=1)
_STRICTEST: Final = Clock("none that is known here: the shortest of the others", business_days=5)
_CANADA: Final = Clock("CASL section 11(3)", business_days=10, holidays_of="CA")
_AUSTRALIA: Final = Clock("Spam Act 2003, schedule 2", business_days=5, holidays_of="AU")

CLOCKS: Final[Mapping[Jurisdiction, Clock]] = MappingProxyType(
    {
        Jurisdiction.US: _US,
        Jurisdiction.CALIFORNIA: _US,
        Jurisdiction.CANADA: _CANADA,
        Jurisdiction.AUSTRALIA: _AUSTRALIA,
        Jurisdiction.EU: _GDPR,
        Jurisdiction.UK: _UK_GDPR,
        Jurisdiction.OTHER: _STRICTEST,
    }
)
SPECIAL_CLOCKS: Final[Mapping[tuple[Jurisdiction, Request], Clock]] = MappingProxyType(
    {
        (Jurisdiction.CALIFORNIA, Request.NO_SHARING): Clock("11 CCR 7026(f)", business_days=15, holidays_of="US"),
        (Jurisdiction.CALIFORNIA, Request.CHANGE): Clock("11 CCR 7021", days=45),
    }
)
"""Where the law gives another time for one kind of request."""


def find_clock(jurisdiction: Jurisdiction, request: Request) -> Clock:
    """The rule that counts."""
    return SPECIAL_CLOCKS.get((jurisdiction, request), CLOCKS[jurisdiction])


def _add_business_days(day: date, number: int, country: str | None) -> date:
    # A tenth of a second that every other command would pay for.
    from holidays import country_holidays  # noqa: PLC0415

    known = None if country is None else country_holidays(country)
    while number:
        day += timedelta(days=1)
        number -= day.weekday() < _SATURDAY and not (known is not None and day in known)
    return day


def _add_months(day: date, number: int) -> date:
    year, month = divmod(day.month - 1 + number, 12)
    year, month = day.year + year, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
