"""Officers at a live region, for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bastide.cli.control import NotYetApproved
from bastide.cli.signing import say
from bastide.kernel import statements
from bastide.kernel.statements import Verdict
from bastide.policy.approval_model import Role
from tests.live import NAME, LiveRegion
from tests.officers_kit import Person

LAB = f"[regions.{NAME}.approvals]\nkey_deletion_wait_days = 0\n"  # no waiting


@dataclass
class Desk:
    """Officers at a live region. Their words go by its socket, as the commands send them."""

    region: LiveRegion
    folder: Path
    people: dict[str, Person] = field(default_factory=dict)

    def enrol(self, name: str, *roles: str, by: tuple[str, ...] = ()) -> None:
        """`by` are the officers who sign for it, where two must."""
        person = self.people.setdefault(name, Person(name, tuple(map(Role, roles))))
        self.folder.mkdir(exist_ok=True)
        self.key(name).write_bytes(statements.private_pem(person.key))
        body = {
            "name": name, "roles": list(roles), "public_key": person.pem, "known_as": [],
            "officer": "",
        }  # fmt: skip
        if by:
            with pytest.raises(NotYetApproved) as waits:
                self.region.control.post("/officers", body)
            self.say(waits.value.request, Verdict.APPROVE, *by)
        self.region.control.post("/officers", body)

    def say(self, request: str, verdict: Verdict, *names: str, reason: str = "") -> None:
        shown = self.region.control.get(f"/approvals/{request}")
        for name in names:
            say(
                self.region.control, shown, verdict, officer=name, key=self.key(name),
                reason=reason,
            )  # fmt: skip

    def me(self, name: str) -> tuple[str, ...]:
        """The options that say who types a command."""
        return ("--officer", name, "--key", str(self.key(name)))

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def waits(self, *words: str) -> str:
        """The id of the request that a command now waits for."""
        done = self.region.cli(*words, check=False)
        assert done.returncode == 3, done.stdout + done.stderr
        return done.stderr.split("Request ")[1].split(":")[0]

    def destroy_keys(self, *words: str) -> str:
        """What `bastide keys destroy … --json` prints once two custodians, enrolled here if they
        are not yet, have signed for it."""
        command = ("keys", "destroy", *words, "--json")
        self.sign_as_custodians(self.waits(*command))
        return self.region.cli(*command).stdout

    def agreed(self, method: Callable[..., Any], **request: Any) -> Any:
        """What AWS's API answers to a call that two custodians have signed for."""
        with pytest.raises(ClientError, match="Request ") as waits:
            method(**request)
        assert waits.value.response["Error"]["Code"] == "AccessDeniedException"
        self.sign_as_custodians(str(waits.value).split("Request ")[1].split(":")[0])
        return method(**request)

    def sign_as_custodians(self, request: str) -> None:
        self._begin()
        self.say(request, Verdict.APPROVE, "ann", "bob")

    def sign_as_reviewers(self, request: str) -> None:
        """As a security officer and a reviewer."""
        self._begin()
        if "rex" not in self.people:
            self.enrol("rex", Role.REVIEWER, by=("ann", "bob"))
        self.say(request, Verdict.APPROVE, "ann", "rex")

    def _begin(self) -> None:
        if not self.people:
            for name in ("ann", "bob"):
                self.enrol(name, Role.SECURITY_OFFICER, Role.KEY_CUSTODIAN)
