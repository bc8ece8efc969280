"""Projects, environments and variables."""

from __future__ import annotations

import json
import os
import secrets
from typing import IO, Any, Dict, Mapping, Optional, Sequence, Union

from ._resource import PAGE, Resource, ident
from ._transport import Request, compact, encode, parse
from .listing import Listing
from .records import (
    CopyResult,
    Diff,
    Environment,
    ImportResult,
    Project,
    RollbackResult,
    Variable,
    Version,
    When,
    timestamp,
)

# What stands in the place of a value: the caller may not read values, the value
# does not open, its references cannot be resolved.
HIDDEN = "[HIDDEN]"
NO_ACCESS = "[NO_ACCESS]"
DECRYPTION_ERROR = "[DECRYPTION_ERROR]"
UNRESOLVED = "[UNRESOLVED]"


class Projects(Resource):
    """`client.projects`."""

    def list(self, *, organization: Optional[int] = None, search: Optional[str] = None, page_size: int = PAGE) -> Listing[Project]:
        return self._list("/api/projects/", Project, {"organization": organization, "search": search, "page_size": page_size})

    def get(self, project_id: int) -> Project:
        return Project(self._json("GET", ident("/api/projects/%s/", project_id)))

    def create(self, name: str, organization_id: int, description: Optional[str] = None) -> Project:
        form = {"name": name, "organization": organization_id, "description": description}
        return Project(self._json("POST", "/api/projects/", compact(form)))

    def update(self, project_id: int, **changes: Any) -> Project:
        """Change `name` or `description`; `organization` moves the project."""
        return Project(self._json("PATCH", ident("/api/projects/%s/", project_id), changes))

    def delete(self, project_id: int) -> None:
        """Delete a project with all that is in it."""
        self._json("DELETE", ident("/api/projects/%s/", project_id))

    def environments(self, project_id: int) -> Listing[Environment]:
        return self._list(ident("/api/projects/%s/environments/", project_id), Environment, {})


class Environments(Resource):
    """`client.environments`. Types are `development`, `staging`, `production` and `testing`."""

    def list(self, *, project: Optional[int] = None, environment_type: Optional[str] = None, page_size: int = PAGE) -> Listing[Environment]:
        return self._list("/api/environments/", Environment, {"project": project, "environment_type": environment_type, "page_size": page_size})

    def get(self, env_id: int) -> Environment:
        return Environment(self._json("GET", ident("/api/environments/%s/", env_id)))

    def create(self, name: str, project_id: int, environment_type: str = "development", description: Optional[str] = None) -> Environment:
        form = {"name": name, "project": project_id, "environment_type": environment_type, "description": description}
        return Environment(self._json("POST", "/api/environments/", compact(form)))

    def update(self, env_id: int, **changes: Any) -> Environment:
        """Change `name`, `environment_type`, `description` or `max_versions`."""
        return Environment(self._json("PATCH", ident("/api/environments/%s/", env_id), changes))

    def delete(self, env_id: int) -> None:
        """Delete an environment with all its variables."""
        self._json("DELETE", ident("/api/environments/%s/", env_id))

    def variables(self, env_id: int, *, at: Optional[When] = None, resolve: bool = False) -> Listing[Variable]:
        """The variables, all on one page.

        With `at` they are as they were then; `extra["unknown"]` names the keys
        whose history does not reach back so far. With `resolve` references in
        values (`${KEY}`, `${environment.KEY}`) are replaced; a value where that is
        not possible is `UNRESOLVED`, and `unresolved` says why.
        """
        query = {"at": None if at is None else timestamp(at), "resolve": resolve or None}
        return self._list(ident("/api/environments/%s/variables/", env_id), Variable, query)

    def values(self, env_id: int, *, resolve: bool = False) -> Dict[str, str]:
        """All values by their keys, for a program that starts. Recorded as an export.

        A value that cannot be read, or not be resolved, is an error.
        """
        values: Dict[str, str] = json.loads(self.export(env_id, "json", resolve=resolve))
        return values

    def export(self, env_id: int, format: str = "env", *, style: Optional[str] = None, resolve: bool = False) -> str:
        """A file of all variables: `format` is `env`, `json` or `yaml`; `style` of an env file
        is `default`, `shell` (safe to source) or `docker`."""
        query = {"format": format, "style": style, "resolve": resolve or None}
        return self._caller.call("GET", ident("/api/environments/%s/export/", env_id), query=query, accept="*/*").body.decode()

    def import_data(self, env_id: int, data: Union[str, Mapping[str, Any]], format: str = "auto", *, overwrite: bool = True) -> ImportResult:
        """Import variables, all at once or none: a text in the format `env`, `json`
        or `yaml`, or a mapping of keys to values.

        Without `overwrite` keys that are there already are a Conflict, whose
        `body["conflicts"]` names them. `failed_imports` tells the lines that
        could not be read, which does not hold up the others.
        """
        if not isinstance(data, str):
            data, format = encode(dict(data)).decode(), "json"
        form = {"data": data, "format": format, "overwrite": overwrite}
        return ImportResult(self._json("POST", ident("/api/environments/%s/import/", env_id), form))

    def import_file(self, env_id: int, file: Union[str, os.PathLike[str], IO[bytes]], *, overwrite: bool = True) -> ImportResult:
        """Import a file, whose name tells the format: `.json`, `.yaml`, `.yml`, else env."""
        if isinstance(file, (str, os.PathLike)):
            name = os.path.basename(os.fspath(file))
            with open(file, "rb") as f:
                content = f.read()
        else:
            name, content = os.path.basename(str(getattr(file, "name", ".env"))), file.read()
        kind, body = _form(name, content, {"overwrite": "true" if overwrite else "false"})
        path = ident("/api/environments/%s/import/", env_id)
        request = Request("POST", path, body=body, kind=kind, headers=(("Accept", "application/json"),))
        return ImportResult(parse(self._caller.send(request)))

    def diff(self, env_id: int, with_id: int, *, values: bool = False) -> Diff:
        """Compare with another environment."""
        query = {"with": with_id, "values": values or None}
        return Diff(self._json("GET", ident("/api/environments/%s/diff/", env_id), query=query))

    def copy(self, env_id: int, to_id: int, *, keys: Optional[Sequence[str]] = None, overwrite: bool = False, dry_run: bool = False) -> CopyResult:
        """Copy variables into another environment, in one commit. Without
        `overwrite` keys that are there with another value are a Conflict."""
        form = {"to": to_id, "keys": _listed(keys), "overwrite": overwrite, "dry_run": dry_run}
        return CopyResult(self._json("POST", ident("/api/environments/%s/copy/", env_id), compact(form)))

    def promote(
        self, env_id: int, to_id: int, *, keys: Optional[Sequence[str]] = None, remove_missing: bool = False, dry_run: bool = False
    ) -> CopyResult:
        """Bring another environment to the values of this one, in one commit; with
        `remove_missing` without what this one has not."""
        form = {"to": to_id, "keys": _listed(keys), "remove_missing": remove_missing, "dry_run": dry_run}
        return CopyResult(self._json("POST", ident("/api/environments/%s/promote/", env_id), compact(form)))

    def rollback(self, env_id: int, at: When, *, dry_run: bool = False) -> RollbackResult:
        """Bring all variables back to what they were at a time, in one commit."""
        form = {"at": timestamp(at), "dry_run": dry_run}
        return RollbackResult(self._json("POST", ident("/api/environments/%s/rollback/", env_id), form))


class Variables(Resource):
    """`client.variables`. A variable stays in its environment."""

    def list(
        self, *, environment: Optional[int] = None, key: Optional[str] = None, resolve: bool = False, page_size: int = PAGE
    ) -> Listing[Variable]:
        """Variables of an environment or of all, whose keys contain `key`."""
        query = {"environment": environment, "key": key, "resolve": resolve or None, "page_size": page_size}
        return self._list("/api/variables/", Variable, query)

    def get(self, variable_id: int, *, resolve: bool = False) -> Variable:
        return Variable(self._json("GET", ident("/api/variables/%s/", variable_id), query={"resolve": resolve or None}))

    def create(self, key: str, value: str, environment_id: int) -> Variable:
        """Make a variable; a key that is taken is a Conflict."""
        return Variable(self._json("POST", "/api/variables/", {"key": key, "value": value, "environment": environment_id}))

    def update(self, variable_id: int, *, value: Optional[str] = None, key: Optional[str] = None, version: Optional[int] = None) -> Variable:
        """Change the value, rename, or both; with `version` only if that is the
        current one, else it is a Conflict."""
        form = {"value": value, "key": key, "version": version}
        return Variable(self._json("PATCH", ident("/api/variables/%s/", variable_id), compact(form)))

    def delete(self, variable_id: int) -> None:
        self._json("DELETE", ident("/api/variables/%s/", variable_id))

    def versions(self, variable_id: int, *, page_size: int = PAGE) -> Listing[Version]:
        """The versions that are kept, the newest first."""
        return self._list(ident("/api/variables/%s/versions/", variable_id), Version, {"page_size": page_size})

    def version(self, variable_id: int, version: int) -> Version:
        path = ident("/api/variables/%s/versions/", variable_id) + ident("%s/", version)
        return Version(self._json("GET", path))

    def rollback(self, variable_id: int, version: int) -> Variable:
        """Give a variable the value of an old version, as a new version."""
        return Variable(self._json("POST", ident("/api/variables/%s/rollback/", variable_id), {"version": version}))


def _listed(keys: Optional[Sequence[str]]) -> Optional[Sequence[str]]:
    if isinstance(keys, str):
        raise TypeError("keys is a list of keys, not one")
    return None if keys is None else list(keys)


def _form(name: str, content: bytes, fields: Mapping[str, str]) -> "tuple[str, bytes]":
    """A multipart form with one file."""
    boundary = secrets.token_hex(16)
    safe = name.encode("utf-8", "replace").decode().translate({ord(c): "_" for c in '"\\\r\n'})
    parts = [b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % (n.encode(), v.encode()) for n, v in fields.items()]
    parts.append(b'Content-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: application/octet-stream\r\n\r\n%s' % (safe.encode(), content))
    edge = b"--" + boundary.encode()
    body = b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts) + edge + b"--\r\n"
    return "multipart/form-data; boundary=" + boundary, body
