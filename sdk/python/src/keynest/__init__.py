"""A client for KeyNest: environment variables and secrets of teams, and the KVdb
buckets and RestDB collections of the cluster that serves them.

::

    from keynest import KeyNestClient

    client = KeyNestClient(token="...")
    for project in client.projects.list():
        print(project.id, project.name)

It needs the standard library only. Calls block; a client may be used by several
threads. It never writes to disk, and never logs a token, a key or a value.
"""

from .client import DEFAULT_BASE_URL, KeyNestClient
from .errors import (
    APIError,
    AuthenticationError,
    Conflict,
    ConnectionError,
    KeyNestError,
    NotFound,
    PermissionDenied,
    RateLimited,
    Timeout,
    Unavailable,
    UnknownOutcome,
    ValidationError,
    WebhookVerificationError,
)
from .kvdb import Bucket, Entry
from .listing import Listing
from .operations import verify_webhook
from .projects import DECRYPTION_ERROR, HIDDEN, NO_ACCESS, UNRESOLVED
from .records import (
    AuditEntry,
    CopyResult,
    Delivery,
    Diff,
    DiffItem,
    Environment,
    ImportResult,
    ImportSummary,
    Member,
    Organization,
    Project,
    Record,
    RollbackResult,
    ServiceToken,
    Session,
    User,
    Variable,
    Version,
    Webhook,
    parse_time,
)
from .restdb import Collection

__version__ = "1.0.0"

__all__ = [
    "APIError",
    "AuditEntry",
    "AuthenticationError",
    "Bucket",
    "Collection",
    "Conflict",
    "ConnectionError",
    "CopyResult",
    "DECRYPTION_ERROR",
    "DEFAULT_BASE_URL",
    "Delivery",
    "Diff",
    "DiffItem",
    "Entry",
    "Environment",
    "HIDDEN",
    "ImportResult",
    "ImportSummary",
    "KeyNestClient",
    "KeyNestError",
    "Listing",
    "Member",
    "NO_ACCESS",
    "NotFound",
    "Organization",
    "PermissionDenied",
    "Project",
    "RateLimited",
    "Record",
    "RollbackResult",
    "ServiceToken",
    "Session",
    "Timeout",
    "UNRESOLVED",
    "Unavailable",
    "UnknownOutcome",
    "User",
    "ValidationError",
    "Variable",
    "Version",
    "Webhook",
    "WebhookVerificationError",
    "parse_time",
    "verify_webhook",
]
