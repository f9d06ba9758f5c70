"""The bodies of the calls about requests that come by phone, letter, e-mail or in person; see `forbear.web.models`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from forbear.domain.legal_clock import Jurisdiction, Request
from forbear.domain.suppression import Channel
from forbear.store.intake import IntakeChannel
from forbear.web.models import AddressText, Body, GivenAddress, NoteText, PostalAddressBody, Scope

ShortText = Annotated[str, Field(min_length=1, max_length=200)]
ReceivedDay = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]


class GivenBody(Body):
    """What the person gave of themselves; any of it."""

    name: str = Field("", max_length=200, examples=["Rosa Vidal"])
    email: AddressText = ""
    phone: str = Field("", max_length=100, examples=["01 42 60 38 30"])
    region: str | None = Field(None, max_length=2, description="Of a phone number without `+`.", examples=["FR"])
    post: PostalAddressBody | None = None


class IntakeRequest(Body):
    """A request to write down."""

    channel: IntakeChannel
    request: Request
    taken_by: ShortText = Field(examples=["Ines, client service"])
    reference: ShortText = Field(examples=["L-2026-118"])
    received_on: ReceivedDay
    jurisdiction: Jurisdiction
    given: GivenBody
    scopes: list[Scope] = Field(default_factory=list, max_length=100)
    note: str = Field("", max_length=4000)
    language: str = Field(
        "", max_length=35, description="Of the receipt; without it that of the contact, else English."
    )


class ResolveRequest(Body):
    """What was decided: about one contact, or (`done`) about the whole."""

    decision: Literal["applied", "rejected", "done"]
    contact: str | None = Field(None, max_length=200, description="Its external id.")
    why: NoteText
    operator: str = Field("", max_length=200)


class IntakePoint(BaseModel):
    """Where somebody can be reached; masked unless the key has the permission `staff`."""

    channel: Channel
    address: GivenAddress


class IntakeMatch(BaseModel):
    """A contact that may be meant, and what was decided about it."""

    contact: str
    certainty: Literal["certain", "doubtful"]
    name: str | None = None
    points: list[IntakePoint]
    decision: Literal["applied", "rejected"] | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    why: str | None = None


class IntakeLine(BaseModel):
    """A request in a list."""

    id: int
    channel: IntakeChannel
    request: Request
    scopes: list[str]
    jurisdiction: Jurisdiction
    taken_by: str
    reference: str
    received_on: date
    due_on: date
    status: Literal["open", "done"]
    done_at: datetime | None = None


class IntakeResponse(IntakeLine):
    """A request with all that was found. Of `given` only what could be read is an address to act on."""

    law: str
    name: str | None = None
    note: str | None = None
    points: list[IntakePoint]
    matches: list[IntakeMatch]


class IntakesResponse(BaseModel):
    """Requests; the next page by the Link header."""

    intakes: list[IntakeLine]
