"""The bodies of the JSON API; they are the OpenAPI document's schemas."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field

from forbear.domain.suppression import Channel, Purpose, Reason, Source

_REGION = "Where national phone numbers are dialled (ISO 3166-1); for the channel `phone` only."

Scope = Annotated[str, Field(max_length=128, examples=["*", "maison", "maison/newsletter"])]
# However long it is, it is one bad address and not a bad request; the body as a whole is limited.
AddressText = Annotated[str, Field(examples=["ann@example.com"])]
Region = Annotated[str, Field(max_length=2, examples=["FR"], description=_REGION)]
PartyName = Annotated[str, Field(max_length=100, examples=["salon-lyon"])]
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9999, 1, 1, tzinfo=UTC))]
NoteText = Annotated[str, Field(min_length=1, max_length=2000)]


class Body(BaseModel):
    """A request body: a field that we do not know is an error, never ignored."""

    model_config = ConfigDict(extra="forbid")


class PostalAddressBody(Body):
    """Somebody at a postal address; the town is one of the lines."""

    name: str = Field(examples=["Claire Dupont"])
    lines: list[str] = Field(examples=[["12 rue de la Paix", "Paris"]])
    postcode: str = Field("", examples=["75002"])
    country: str = Field(examples=["FR"], description="Two letters (ISO 3166-1).")


# Tried in this order, because nearly all are texts.
GivenAddress = Annotated[AddressText | PostalAddressBody, Field(union_mode="left_to_right")]
"""An e-mail address, a phone number, or for the channel `post` an object."""


class CheckRequest(Body):
    """Addresses to decide about. A party is named with the purpose `sharing` only."""

    purpose: Purpose
    scope: Scope
    channel: Channel = Channel.EMAIL
    region: Region | None = None
    party: PartyName | None = None
    addresses: list[GivenAddress] = Field(min_length=1)


class CheckResult(BaseModel):
    """The verdict about one address; `reason` only for keys with the permission `reasons`."""

    address: GivenAddress
    verdict: Literal["deliver", "suppress", "invalid"]
    reason: str | None = None


class CheckResponse(BaseModel):
    """Verdicts in the order asked, true at `as_of` or later."""

    as_of: datetime
    results: list[CheckResult]


class SuppressionItem(Body):
    """One opt-out."""

    address: GivenAddress
    reason: Reason
    scope: Scope
    channel: Channel = Channel.EMAIL
    region: Region | None = None
    source: Source = Source.API
    since: Moment | None = None
    evidence: dict[str, Any] = Field(default_factory=dict, description="What proves it; at most 4 KiB of JSON.")


class SuppressRequest(Body):
    """Opt-outs to record; each is answered on its own."""

    suppressions: list[Any] = Field(
        min_length=1,
        json_schema_extra={"items": {"$ref": "#/components/schemas/SuppressionItem"}},
    )


class SuppressResult(BaseModel):
    """What became of one opt-out."""

    address: GivenAddress
    status: Literal["added", "already", "error"]
    id: int | None = None
    error: str | None = None


class SuppressResponse(BaseModel):
    """One result per opt-out, in order; those added or already standing are committed."""

    results: list[SuppressResult]


class SearchRequest(Body):
    """Which entries to list; everything left out means any. `channel` is that of the address."""

    address: GivenAddress | None = None
    channel: Channel = Channel.EMAIL
    region: Region | None = None
    reason: Reason | None = None
    scope: Scope | None = None
    source: Source | None = None
    since: Moment | None = None
    until: Moment | None = None
    with_lifted: bool = False
    limit: int = Field(100, ge=1, le=1000)


class EntryBody(BaseModel):
    """One entry of the list."""

    id: int
    address: GivenAddress | None = None
    kind: Literal["match", "domain"]
    channel: Channel
    scope: str
    reason: Reason
    source: Source
    since: datetime
    lifted_at: datetime | None = None
    batch: int | None = None


class SearchResponse(BaseModel):
    """Entries, newest first; the next page by the Link header."""

    entries: list[EntryBody]


class LiftRequest(Body):
    """Why an entry is lifted, for the history."""

    why: NoteText = Field(validation_alias=AliasChoices("why", "reason"))
    operator: str = Field("", max_length=200, description="Who decided, when it is not the key's own name.")


class LiftResponse(BaseModel):
    """The entry that no longer stands."""

    id: int
    status: Literal["lifted"]


class EraseRequest(Body):
    """The address to erase."""

    address: GivenAddress
    channel: Channel = Channel.EMAIL
    region: Region | None = None


class EraseResponse(BaseModel):
    """The entry that keeps the address suppressed without naming it."""

    id: int
    status: Literal["erased", "already"]


class ExplainRequest(Body):
    """The question to explain."""

    address: GivenAddress
    purpose: Purpose
    scope: Scope
    channel: Channel = Channel.EMAIL
    region: Region | None = None
    party: PartyName | None = None


class HistoryBody(BaseModel):
    """One event in an entry's life."""

    at: datetime
    action: str
    source: Source
    by: str
    batch: int | None = None
    evidence: dict[str, Any] | None = None


class ExplainedEntryBody(BaseModel):
    """An entry that speaks about the address, with its history."""

    id: int
    reason: Reason
    scope: str
    source: Source
    since: datetime
    kind: Literal["match", "domain", "wide"]
    lifted_at: datetime | None = None
    by: str | None = None
    batch: int | None = None
    evidence: dict[str, Any] | None = None
    history: list[HistoryBody]


class GrantBody(BaseModel):
    """A proven opt-in."""

    id: int
    scope: str
    source: Source
    granted_at: datetime
    lifted_at: datetime | None = None


class ExplainResponse(BaseModel):
    """The verdict and everything it rests on."""

    verdict: Literal["deliver", "suppress", "invalid"]
    reason: str | None = None
    rule: str
    entries: list[ExplainedEntryBody]
    grants: list[GrantBody]


class LinksRequest(Body):
    """Whose links to make, and for which campaign."""

    purpose: Purpose = Purpose.MARKETING
    scope: Scope
    campaign: str = Field("", max_length=128)
    addresses: list[AddressText] = Field(min_length=1)


class LinksResult(BaseModel):
    """The links of one recipient; `error` instead of them where there is no deliverable address."""

    address: str
    unsubscribe_url: str | None = None
    preferences_url: str | None = None
    list_unsubscribe: str | None = None
    list_unsubscribe_post: str | None = None
    return_path: str | None = Field(None, description="Null unless this installation receives mail.")
    error: str | None = None


class LinksResponse(BaseModel):
    """One result per address, in order."""

    results: list[LinksResult]


class ScrubResponse(BaseModel):
    """How far a scrub has come, or how it ended. rows = deliver + sum(suppress) + invalid + duplicate."""

    id: str
    status: Literal["running", "done", "failed"]
    purpose: Purpose
    scope: str
    channel: Channel
    campaign: str | None = None
    as_of: datetime | None
    rows: int
    deliver: int
    suppress: dict[str, int]
    invalid: int
    duplicate: int
    blank_lines: int
    duration_seconds: float
    error: dict[str, Any] | None = None


class ChangeBody(BaseModel):
    """An entry as it is now; it stands unless `lifted_at` is there."""

    id: int
    address: GivenAddress | None = Field(None, description="Missing where it is not known or was erased.")
    fingerprint: str = Field(description="32 hexadecimal digits; the same for every entry of an address.")
    channel: Channel
    scope: str
    reason: Reason
    since: datetime
    lifted_at: datetime | None = None


class ChangesResponse(BaseModel):
    """What has changed, and the cursor to ask with next."""

    changes: list[ChangeBody]
    next: str
