"""The bodies of /v1/subscriptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from forbear.services.sealed_confirmation import WORDING_VERSION
from forbear.services.subscriptions import SCOPES_MAX
from forbear.web.models import AddressText, Body, Scope


class SubscriptionRequest(Body):
    """What somebody wants to receive, as a shop was told it."""

    address: AddressText
    scopes: list[Scope] = Field(min_length=1, max_length=SCOPES_MAX, description="Brands and topics; not `*`.")
    language: Annotated[str, Field(max_length=35, examples=["fr"])] = "en"
    origin: Annotated[str, Field(max_length=200, description="Where it was asked, such as a promotion.")] = ""
    wording_version: Annotated[str, Field(min_length=1, max_length=100, description="Which words were shown.")] = (
        WORDING_VERSION
    )
    evidence: dict[str, Any] = Field(default_factory=dict, description="What proves that it was asked for.")


class SubscriptionResponse(BaseModel):
    """The address is being asked."""

    status: Literal["asked"]
