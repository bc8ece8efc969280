"""Accounts, organizations and their members."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from ._http import Secret
from ._resource import PAGE, Resource, ident
from ._transport import compact, member, parse
from .errors import AuthenticationError
from .listing import Listing
from .records import Member, Organization, Record, ServiceToken, Session, User


class Auth(Resource):
    """`client.auth`: the account that the client acts as.

    What gives a token makes the client use it from then on, in all its copies.
    """

    def register(self, username: str, email: str, password: str, *, first_name: Optional[str] = None, last_name: Optional[str] = None) -> Session:
        """Make an account. If the answer is lost (`outcome_unknown`), find out by logging in."""
        form = {"username": username, "email": email, "password": password, "first_name": first_name, "last_name": last_name}
        return self._enter(Session(parse(self._caller.call("POST", "/api/auth/register/", compact(form), once=False))))

    def login(self, email: str, password: str) -> Session:
        answer = self._caller.call("POST", "/api/auth/login/", {"email": email, "password": password}, harmless=True)
        return self._enter(Session(parse(answer)))

    def logout(self) -> None:
        """End all sessions of the user."""
        try:
            self._caller.call("POST", "/api/auth/logout/")
        except AuthenticationError as e:
            if not e.retried:  # else an earlier try has ended them
                raise
        self._caller.token = None

    def profile(self) -> User:
        """The user that the token is of; of a service token see `service_token`."""
        return User(self._json("GET", "/api/auth/profile/"))

    def service_token(self) -> ServiceToken:
        """The service token that the client uses, without its text."""
        return ServiceToken(self._json("GET", "/api/auth/profile/"))

    def update_profile(self, *, first_name: Optional[str] = None, last_name: Optional[str] = None) -> User:
        return User(self._json("PATCH", "/api/auth/profile/", compact({"first_name": first_name, "last_name": last_name})))

    def change_password(self, current_password: str, new_password: str) -> Session:
        """Change the password, which ends all sessions but the client's. If the
        answer is lost (`outcome_unknown`), log in with the new one."""
        form = {"current_password": current_password, "new_password": new_password, "confirm_new_password": new_password}
        return self._enter(Session(parse(self._caller.call("POST", "/api/auth/password/", form, once=False))))

    def _enter(self, session: Session) -> Session:
        self._caller.token = Secret(str(member(session.to_dict(), "token")), "token")
        return session


class Organizations(Resource):
    """`client.organizations`. Roles are `admin`, `editor` and `viewer`."""

    def list(self, *, page_size: int = PAGE) -> Listing[Organization]:
        return self._list("/api/organizations/", Organization, {"page_size": page_size})

    def get(self, organization_id: int) -> Organization:
        return Organization(self._json("GET", ident("/api/organizations/%s/", organization_id)))

    def create(self, name: str, description: Optional[str] = None) -> Organization:
        return Organization(self._json("POST", "/api/organizations/", compact({"name": name, "description": description})))

    def update(self, organization_id: int, **changes: Any) -> Organization:
        """Change `name` or `description`."""
        return Organization(self._json("PATCH", ident("/api/organizations/%s/", organization_id), changes))

    def delete(self, organization_id: int) -> None:
        """Delete an organization with all that is in it."""
        self._json("DELETE", ident("/api/organizations/%s/", organization_id))

    def members(self, organization_id: int) -> List[Member]:
        answer = self._json("GET", ident("/api/organizations/%s/members/", organization_id))
        return [Member(one) for one in member(answer, "members")]

    def invite_member(self, organization_id: int, email: str, role: str = "viewer") -> Member:
        """Make the owner of an account a member."""
        answer = self._json("POST", ident("/api/organizations/%s/invite_member/", organization_id), {"email": email, "role": role})
        return Member(member(answer, "member"))

    def update_member_role(self, organization_id: int, user_id: int, role: str) -> Record:
        form: Dict[str, Any] = {"user_id": user_id, "role": role}
        return Record(self._json("PATCH", ident("/api/organizations/%s/update_member_role/", organization_id), form))

    def remove_member(self, organization_id: int, user_id: int) -> Record:
        return Record(self._json("DELETE", ident("/api/organizations/%s/remove_member/", organization_id), {"user_id": user_id}))
