"""The audit log, service tokens and webhooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from ._resource import PAGE, Resource, ident
from ._transport import compact
from .errors import WebhookVerificationError
from .listing import Listing
from .records import AuditEntry, Delivery, ServiceToken, Webhook, When, timestamp


class AuditLogs(Resource):
    """`client.audit_logs`."""

    def list(
        self,
        *,
        user: Optional[int] = None,
        action: Optional[str] = None,
        target_type: Optional[str] = None,
        date_from: Optional[When] = None,
        date_to: Optional[When] = None,
        page_size: int = PAGE,
    ) -> Listing[AuditEntry]:
        """Entries, the newest first. `action` is such as `variable_created` or `create`;
        days are in UTC, both included."""
        query = {"user": user, "action": action, "target_type": target_type, "page_size": page_size}
        days = {"date_from": date_from, "date_to": date_to}
        query.update({name: timestamp(day)[:10] for name, day in days.items() if day is not None})
        return self._list("/api/audit-logs/", AuditEntry, query)

    def export(self, format: str = "jsonl") -> str:
        """Whole chains, as `jsonl` or `csv`, which `covey audit verify` can prove."""
        return self._caller.call("GET", "/api/audit-logs/export/", query={"format": format}, accept="*/*").body.decode()


class ServiceTokens(Resource):
    """`client.service_tokens`: tokens for programs, of one project or environment."""

    def list(
        self, *, organization: Optional[int] = None, project: Optional[int] = None, environment: Optional[int] = None, page_size: int = PAGE
    ) -> Listing[ServiceToken]:
        query = {"organization": organization, "project": project, "environment": environment, "page_size": page_size}
        return self._list("/api/service-tokens/", ServiceToken, query)

    def get(self, token_id: int) -> ServiceToken:
        return ServiceToken(self._json("GET", ident("/api/service-tokens/%s/", token_id)))

    def create(
        self,
        name: str,
        *,
        project: Optional[int] = None,
        environment: Optional[int] = None,
        read_only: bool = True,
        expires_at: Optional[When] = None,
        expires_in: Optional[str] = None,
        allowed_networks: Optional[Sequence[str]] = None,
    ) -> ServiceToken:
        """Make a token for a project or for an environment. Its `token` is in this
        answer only. `expires_in` is such as `90m`, `12h`, `30d` or `1y`."""
        form = {
            "name": name,
            "project": project,
            "environment": environment,
            "read_only": read_only,
            "expires_at": None if expires_at is None else timestamp(expires_at),
            "expires_in": expires_in,
            "allowed_networks": None if allowed_networks is None else list(allowed_networks),
        }
        return ServiceToken(self._json("POST", "/api/service-tokens/", compact(form)))

    def update(self, token_id: int, *, name: str) -> ServiceToken:
        return ServiceToken(self._json("PATCH", ident("/api/service-tokens/%s/", token_id), {"name": name}))

    def revoke(self, token_id: int) -> None:
        """End a token at once, on all nodes."""
        self._json("DELETE", ident("/api/service-tokens/%s/", token_id))

    delete = revoke


class Webhooks(Resource):
    """`client.webhooks`. Ids are such as `webhook_1`; plain numbers do as well."""

    def list(self, *, organization: Optional[int] = None, page_size: int = PAGE) -> Listing[Webhook]:
        return self._list("/api/webhooks/", Webhook, {"organization": organization, "page_size": page_size})

    def get(self, webhook_id: Union[str, int]) -> Webhook:
        return Webhook(self._json("GET", ident("/api/webhooks/%s/", webhook_id)))

    def create(
        self, url: str, events: Sequence[str], organization: int, *, secret: Optional[str] = None, is_active: Optional[bool] = None
    ) -> Webhook:
        """Make a webhook for events such as `variable.created`, or `*`. Its `secret`,
        drawn unless given, is in this answer only."""
        form = {"url": url, "events": list(events), "organization": organization, "secret": secret, "is_active": is_active}
        return Webhook(self._json("POST", "/api/webhooks/", compact(form)))

    def update(self, webhook_id: Union[str, int], **changes: Any) -> Webhook:
        """Change `url`, `events`, `is_active` or `secret`; an empty secret draws a new one."""
        return Webhook(self._json("PATCH", ident("/api/webhooks/%s/", webhook_id), changes))

    def delete(self, webhook_id: Union[str, int]) -> None:
        self._json("DELETE", ident("/api/webhooks/%s/", webhook_id))

    def deliveries(self, webhook_id: Union[str, int], *, page_size: int = PAGE) -> Listing[Delivery]:
        """What was sent or waits, the newest first."""
        return self._list(ident("/api/webhooks/%s/deliveries/", webhook_id), Delivery, {"page_size": page_size})

    def delivery(self, webhook_id: Union[str, int], delivery_id: int) -> Delivery:
        return Delivery(self._json("GET", self._delivery(webhook_id, delivery_id)))

    def redeliver(self, webhook_id: Union[str, int], delivery_id: int) -> Delivery:
        return Delivery(self._json("POST", self._delivery(webhook_id, delivery_id) + "redeliver/"))

    def test(self, webhook_id: Union[str, int]) -> Delivery:
        """Send the event `webhook.test`."""
        return Delivery(self._json("POST", ident("/api/webhooks/%s/test/", webhook_id)))

    def _delivery(self, webhook_id: Union[str, int], delivery_id: int) -> str:
        return ident("/api/webhooks/%s/deliveries/", webhook_id) + ident("%s/", delivery_id)

    @staticmethod
    def verify(body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: float = 300.0) -> Dict[str, Any]:
        """See `verify_webhook`."""
        return verify_webhook(body, headers, secret, tolerance=tolerance)


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: float = 300.0, now: Callable[[], float] = time.time
) -> Dict[str, Any]:
    """The message of a webhook, if it was signed with the secret.

    `body` is what was received, to the byte. `X-KeyNest-Signature` counts, or
    without it the headers of the Standard Webhooks specification. A message that
    is older or newer than `tolerance` seconds, or whose signature is wrong, is a
    WebhookVerificationError. Messages may come more than once: drop those whose
    `webhook-id` header is known.
    """
    told = {name.lower(): value for name, value in headers.items()}
    if "x-keynest-signature" in told:
        stamp, given = _own(told["x-keynest-signature"])
        want = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    else:
        stamp, given = _standard(told)
        signed = "%s.%s." % (told.get("webhook-id", ""), stamp)
        want = base64.b64encode(hmac.new(_standard_key(secret), signed.encode() + body, hashlib.sha256).digest()).decode()
    # All are compared, in constant time: which one fits says nothing.
    if not sum(hmac.compare_digest(one.encode("utf-8", "replace"), want.encode()) for one in given):
        raise WebhookVerificationError("the signature of the webhook's message is wrong or missing")
    if not stamp.isdigit() or len(stamp) > 12 or abs(now() - int(stamp)) > tolerance:
        raise WebhookVerificationError("the webhook's message is too old or too new")
    message = json.loads(body)
    if not isinstance(message, dict):
        raise WebhookVerificationError("the webhook's message is no object")
    return message


def _own(header: str) -> "tuple[str, List[str]]":
    """The parts of `t=<unix>,v1=<hex>`."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    return stamps[0] if stamps else "", [value for name, _, value in pairs if name == "v1"]


def _standard(told: Mapping[str, str]) -> "tuple[str, List[str]]":
    """The parts of `webhook-signature: v1,<base64> v1,<base64>`."""
    pairs = [part.partition(",") for part in told.get("webhook-signature", "").split()]
    return told.get("webhook-timestamp", ""), [value for name, _, value in pairs if name == "v1"]


def _standard_key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret[len("whsec_") :], validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ in the secret is not base64") from None
