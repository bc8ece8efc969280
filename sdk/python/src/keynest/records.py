"""What the API's answers hold.

A record has the members of the JSON object it was made of, under their own names,
as attributes and as items: `variable.key` is `variable["key"]`. A declared member
that the server did not send is None as an attribute; one that only a newer server
knows is there all the same. Records do not change.

Secrets are in a record, but neither in its `repr` nor in its `str`, so that logs,
tracebacks and a debugger's lists do not show them by accident.
"""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Dict, FrozenSet, Iterator, List, Mapping, Optional, Union

from .errors import unexpected

When = Union[str, date, datetime]


class Record(Mapping[str, Any]):
    """An object of the API's answers."""

    _secret: ClassVar[FrozenSet[str]] = frozenset()

    def __init__(self, members: Mapping[str, Any]) -> None:
        if not isinstance(members, Mapping):
            raise unexpected()
        self._members = dict(members)

    def __getitem__(self, name: str) -> Any:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    if not TYPE_CHECKING:  # checkers are to know the declared members only

        def __getattr__(self, name):
            if not name.startswith("_"):
                if name in self._members:
                    return self._members[name]
                if any(name in getattr(kind, "__annotations__", {}) for kind in type(self).__mro__):
                    return None
            raise AttributeError("%s has no member %r" % (type(self).__name__, name))

    def __repr__(self) -> str:
        shown = ("%s=%s" % (n, "'***'" if n in self._secret and v is not None else repr(v)) for n, v in self._members.items())
        return "%s(%s)" % (type(self).__name__, ", ".join(shown))

    def to_dict(self) -> Dict[str, Any]:
        """A dict of the members, secrets among them."""
        return dict(self._members)


class User(Record):
    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    full_name: str
    date_joined: str
    last_login: Optional[str]
    is_active: bool


class Session(Record):
    """What a registration or a login gives."""

    _secret = frozenset({"token"})
    token: str
    message: str

    @property
    def user(self) -> User:
        return User(self["user"])


class Organization(Record):
    id: int
    name: str
    description: Optional[str]
    created_at: str
    updated_at: str
    member_count: int
    project_count: int
    user_role: str


class Member(Record):
    id: int
    email: str
    username: str
    role: str
    joined_at: str


class Project(Record):
    id: int
    name: str
    description: Optional[str]
    organization: int
    organization_name: str
    created_at: str
    updated_at: str
    created_by_name: str
    environment_count: int


class Environment(Record):
    id: int
    name: str
    project: int
    project_name: str
    environment_type: str
    description: Optional[str]
    created_at: str
    updated_at: str
    created_by_name: str
    variable_count: int
    max_versions: int


class Variable(Record):
    """`decrypted_value` may be `HIDDEN`, `UNRESOLVED` or another of the masks of this package."""

    _secret = frozenset({"decrypted_value", "value"})
    id: int
    key: str
    decrypted_value: str
    environment: int
    environment_name: str
    version: int
    unresolved: str
    created_at: str
    updated_at: str
    created_by_name: str


class Version(Record):
    """A variable as it was; `decrypted_value` is None where it had been deleted."""

    _secret = frozenset({"decrypted_value"})
    id: int
    version: int
    key: str
    decrypted_value: Optional[str]
    change: str
    created_at: str
    created_by: Optional[int]
    created_by_name: str
    is_current: bool


class ImportSummary(Record):
    imported: int
    updated: int
    failed: int
    total_variables: int


class ImportResult(Record):
    message: str
    failed_imports: Optional[List[Dict[str, Any]]]

    @property
    def summary(self) -> ImportSummary:
        return ImportSummary(self["summary"])


class DiffItem(Record):
    """`value` and `with_value` are there only if values were asked for."""

    _secret = frozenset({"value", "with_value"})
    key: str
    value: str
    with_value: str


class Diff(Record):
    """What another environment has more (`added`), less (`removed`) and otherwise (`changed`)."""

    _secret = frozenset({"added", "removed", "changed"})
    environment: int
    unchanged_count: int

    @property
    def added(self) -> List[DiffItem]:
        return [DiffItem(item) for item in self["added"]]

    @property
    def removed(self) -> List[DiffItem]:
        return [DiffItem(item) for item in self["removed"]]

    @property
    def changed(self) -> List[DiffItem]:
        return [DiffItem(item) for item in self["changed"]]


class CopyResult(Record):
    """Keys, by what was done with them. `deleted` is of a promotion only."""

    message: str
    created: List[str]
    updated: List[str]
    deleted: List[str]
    unchanged_count: int
    dry_run: bool


class RollbackResult(Record):
    """Keys, by what was done with them; `unknown` were left as they are."""

    restored: List[str]
    deleted: List[str]
    unknown: List[str]
    unchanged_count: int
    dry_run: bool


class AuditEntry(Record):
    id: int
    user_name: str
    user_email: str
    action: str
    target_type: str
    target_id: int
    details: Dict[str, Any]
    ip_address: str
    timestamp: str


class ServiceToken(Record):
    """`token` is there only in the answer that made it."""

    _secret = frozenset({"token"})
    id: int
    name: str
    organization: int
    project: Optional[int]
    environment: Optional[int]
    read_only: bool
    created_at: str
    created_by: Optional[int]
    created_by_name: str
    expires_at: Optional[str]
    allowed_networks: List[str]
    last_used_at: Optional[str]
    is_active: bool
    token: str


class Webhook(Record):
    """`secret` is there only in the answer that set it. The URL may hold a secret of the receiver's."""

    _secret = frozenset({"secret"})
    id: str
    url: str
    events: List[str]
    organization: int
    is_active: bool
    created_at: str
    disabled_reason: str
    failing_since: Optional[str]
    secret: str


class Delivery(Record):
    """`payload` is there only if one delivery was asked for."""

    id: int
    event: str
    message_id: str
    created_at: str
    status: str
    attempts: int
    last_attempt_at: Optional[str]
    next_attempt_at: Optional[str]
    response_status: Optional[int]
    error: str
    duration_ms: int
    payload: Dict[str, Any]


def parse_time(text: str) -> datetime:
    """A time of the API, such as `2026-01-31T10:30:00Z`, as a datetime in UTC."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def timestamp(when: When) -> str:
    """A time as the API takes it. A datetime without a time zone is a ValueError:
    nobody could tell which time it means."""
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ValueError("a datetime needs a time zone, such as datetime.now(timezone.utc)")
        return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return when.isoformat() if isinstance(when, date) else when
