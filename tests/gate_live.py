"""Live regions with a gate between them, and the officers who may open it."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa

from bastide.cli.control import CommandFailed
from bastide.kernel.statements import Verdict
from bastide.transfer.diode.datagram import ENVELOPE
from bastide.transfer.diode.sending import datagrams
from bastide.transfer.dsse import Signer
from tests.live import NAME, LiveRegion, toml_for
from tests.officers_live import Desk

LOW, HIGH = "us-gov-west-1", "us-isob-east-1"


def transfer(region, *words, **options):
    done = region.cli("transfer", *words, "--json", **options)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def ask(region, path, **body):
    """What the command would do, without the second that a new process takes; the error's text
    where it fails."""
    try:
        *_, last = region.control.steps(f"/transfers{path}", body)
    except CommandFailed as error:
        return str(error)
    return last["result"]


def create(region, to, agency="", bucket="", prefix="", environment="", agency_setup=""):
    body = {"to": to, "agency": agency, "bucket": bucket, "prefix": prefix, "model": "", "base": ""}
    return ask(region, "", **body, environment=environment, agency_setup=agency_setup)


def received(region, spool):
    return [(one["outcome"], one["why"]) for one in ask(region, "-receive", spool=str(spool))]


def request_of(refusal):
    """The id of what waits for officers."""
    return re.search(r"asked for: ([^)]+)", refusal).group(1)


@dataclass(frozen=True)
class Side:
    """A region of the test's own, and its officers: ann and bob release, eve reviews."""

    region: LiveRegion
    desk: Desk

    def approve(self, refusal, *names):
        """Sign what a refusal says was asked for."""
        self.desk.say(request_of(refusal), Verdict.APPROVE, *names)

    def send(self, bundle, **way):
        """Up, on a way that two sign for."""
        path = f"/{bundle}/{'send-udp' if 'udp' in way else 'send'}"
        self.approve(ask(self.region, path, **way), "ann", "bob")
        return ask(self.region, path, **way)

    def trust(self, other):
        self.trust_anchor(other.region.control.get("/transfers-anchor"))

    def trust_anchor(self, anchor, by=("ann", "bob")):
        body = {"anchor": json.dumps(anchor)}
        with pytest.raises(CommandFailed) as refused:
            self.region.control.post("/transfers-trust", body)
        self.approve(str(refused.value), *by)
        trusted = self.region.control.post("/transfers-trust", body)
        assert trusted["region"] == anchor["region"]


def side(folder, name, ceiling, more="", **options):
    toml = toml_for(name=name).replace("port = 0\n", f'port = 0\nceiling = "{ceiling}"\n', 1)
    toml += more
    made = LiveRegion(folder / name, toml=toml, name=name, **options).start()
    desk = Desk(made, folder / f"{name}-officers")
    desk.enrol("ann", "security-officer", "releaser")
    desk.enrol("bob", "security-officer", "releaser")
    desk.enrol("eve", "reviewer", by=("ann", "bob"))
    return Side(made, desk)


def nobodys(to):
    """A bundle that nobody's keys signed: the digest that it has, and its datagrams."""
    payload = {
        "_type": "https://in-toto.io/Statement/v1", "subject": [],
        "predicateType": "urn:bastide:transfer:1",
        "predicate": {
            "id": "x", "to": to, "created": "now", "base": "", "size": 0, "chunk_bytes": 8 << 20,
            "items": [],
            "origin": {"region": NAME, "agency": "", "account": "", "bucket": "", "prefix": ""},
        },
    }  # fmt: skip
    signed = json.dumps(payload).encode()
    signer = Signer(
        ecdsa=ec.generate_private_key(ec.SECP384R1()), mldsa=mldsa.MLDSA87PrivateKey.generate()
    )
    name = sha256(signed).digest()
    return name, list(datagrams(name, signer.sign(signed), ENVELOPE, 8))
