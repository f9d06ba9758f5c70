"""The bodies of the calls about contacts, consents, parties and scopes; see `forbear.web.models`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from forbear.domain.party import PartyKind
from forbear.domain.suppression import Channel, Reason, Source
from forbear.web.models import AddressText, Body, GivenAddress, Moment, PostalAddressBody, Region, Scope

Words = Annotated[
    dict[str, str], Field(default_factory=dict, examples=[{"en": "The Friday Letter", "fr": "La Lettre"}])
]
Language = Annotated[str, Field(max_length=35, examples=["fr", "zh-Hans"])]
Country = Annotated[str, Field(max_length=2, examples=["FR"])]


class LookBody(Body):
    """A brand's accent colours on a light and on a dark background; each must stand out from it by 4.5 to 1."""

    accent: str = Field(examples=["#80581f"])
    accent_dark: str = Field(examples=["#d9b477"])


class ScopeRequest(Body):
    """A scope to register, or what is to change of one; what is left out stays."""

    name: Scope
    titles: Words
    descriptions: Words
    position: int | None = Field(None, ge=0, le=32767, description="Its place among its like, the lowest first.")
    is_offered: bool | None = Field(None, description="Whether pages offer it to the public.")
    look: LookBody | None = Field(None, description="Of a brand, or of `*` for pages that are about none.")
    logo: str | None = Field(None, description='A PNG or SVG of at most 128 KiB, as base64; "" takes it away.')


class ScopeBody(BaseModel):
    """A registered scope."""

    name: str
    titles: dict[str, str]
    descriptions: dict[str, str]
    position: int
    is_offered: bool
    look: LookBody | None = None
    has_logo: bool


class ScopesResponse(BaseModel):
    """Registered scopes: brands in their order, each with its topics in theirs."""

    scopes: list[ScopeBody]


class PartyRequest(Body):
    """A party to register, or what is told about one."""

    name: str = Field(max_length=100, examples=["salon-lyon"])
    kind: PartyKind
    title: str
    postal_address: str = Field(description="Whoever asks what was disclosed is told it; lines are separated by \\n.")
    products: str = Field("", description="Examples of what it sells, where its name does not say.")


class PartyBody(BaseModel):
    """A party, ended where `ended_at` is there."""

    name: str
    kind: PartyKind
    title: str
    postal_address: str
    products: str
    created_at: datetime
    ended_at: datetime | None = None


class PartyResponse(BaseModel):
    """The party as it stands now."""

    status: Literal["added", "changed", "ended"]
    party: PartyBody


class PartiesResponse(BaseModel):
    """Every party, ended ones too."""

    parties: list[PartyBody]


class OptOutBody(Body):
    """What the contact does not want: at every point of one channel, or of all where it is left out."""

    scope: Scope
    reason: Reason = Reason.UNSUBSCRIBE
    channel: Channel | None = None


class GivenConsentBody(Body):
    """What the contact agreed to, for every point of a channel. A record: it overrides no opt-out."""

    channel: Channel = Channel.EMAIL
    scope: Scope
    wording_version: str = Field(min_length=1, max_length=200)
    given_at: Moment
    source: Source = Source.API
    origin: str = Field("", max_length=200, description="In which promotion it was given.")
    evidence: dict[str, Any] = Field(default_factory=dict, description="What proves it; at most 4 KiB of JSON.")


class ContactRequest(Body):
    """What is said about a contact. What is left out stays; null takes it away; of each channel given, all points."""

    name: str | None = None
    language: Language | None = None
    country: Country | None = None
    notice_channel: Channel | None = Field(None, description="How notices go: by `email` or by `post`.")
    email: list[AddressText] | None = Field(None, description="All e-mail addresses, the one to be used first.")
    phone: list[str] | None = Field(None, description="All numbers; national ones are read for `country`.")
    post: list[PostalAddressBody] | None = Field(None, description="All postal addresses.")
    opt_outs: list[OptOutBody] = Field(default_factory=list, max_length=200)
    consents: list[GivenConsentBody] = Field(default_factory=list, max_length=200)


class StandingEntryBody(BaseModel):
    """An entry that stands about a point."""

    id: int
    reason: Reason
    scope: str
    source: Source
    since: datetime


class StandingGrantBody(BaseModel):
    """A grant that stands for a point."""

    id: int
    scope: str
    source: Source
    granted_at: datetime


class ConsentBody(BaseModel):
    """A consent on record."""

    id: int
    scope: str
    wording_version: str
    given_at: datetime
    source: Source
    origin: str
    grant: int | None = Field(None, description="The grant that it has led to.")
    withdrawn_at: datetime | None = None


class PointBody(BaseModel):
    """Where a contact can be reached, and what stands about it."""

    channel: Channel
    address: GivenAddress | None = Field(None, description="Missing where it was erased.")
    masked: str
    entries: list[StandingEntryBody] = Field(default_factory=list)
    grants: list[StandingGrantBody] = Field(default_factory=list)
    consents: list[ConsentBody] = Field(default_factory=list)


class ContactBody(BaseModel):
    """A contact."""

    external_id: str
    name: str | None = None
    language: str | None = None
    country: str | None = None
    notice_channel: Channel
    points: list[PointBody]
    created_at: datetime
    changed_at: datetime


class ContactWritten(BaseModel):
    """What became of a contact; `points` is how many it has now, by channel."""

    external_id: str
    status: Literal["added", "changed"]
    points: dict[str, int]


class ContactErased(BaseModel):
    """A contact that is gone, and how many points were erased with it."""

    external_id: str
    status: Literal["erased"]
    erased: int


class ContactSearchRequest(Body):
    """One contact point, of whichever channel."""

    address: GivenAddress
    channel: Channel = Channel.EMAIL
    region: Region | None = None


class ContactSearchResponse(BaseModel):
    """The contacts that have this point, 100 at most."""

    contacts: list[ContactBody]


class ConsentItem(Body):
    """One consent."""

    address: GivenAddress
    channel: Channel = Channel.EMAIL
    region: Region | None = None
    scope: Scope
    wording_version: str = Field(min_length=1, max_length=200)
    given_at: Moment
    source: Source = Source.API
    origin: str = Field("", max_length=200)
    evidence: dict[str, Any] = Field(default_factory=dict)
    grant: bool = Field(False, description="Whether it is a proven opt-in, which overrides older opt-outs.")


class ConsentsRequest(Body):
    """Consents to record, all or none."""

    consents: list[ConsentItem] = Field(min_length=1, max_length=1000)


class ConsentsResponse(BaseModel):
    """How many consents are new on record, and the grants in the order asked."""

    recorded: int
    grants: list[int]


class WithdrawRequest(Body):
    """Whose consents to withdraw, for a scope and all that lies within it."""

    address: GivenAddress
    channel: Channel = Channel.EMAIL
    region: Region | None = None
    scope: Scope
    source: Source = Source.API
    evidence: dict[str, Any] = Field(default_factory=dict)


class WithdrawResponse(BaseModel):
    """The entry that the withdrawal has left."""

    id: int
    status: Literal["withdrawn"]
