"""IAM's evaluator beside another one, in a process of its own: 10,000 random cases, no mismatch.

The other is npm's @cloud-copilot/iam-simulate, which is not part of this product: it is installed
into the cache for this test. Without npm the test is skipped, but not in CI.
"""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.live import cache_home

from bastide.policy.document import PolicyKind, parse
from bastide.policy.evaluator import Caller, Policies, Request, decide

HERE = Path(__file__).parent / "iam_oracle"
FILES = ("package.json", "package-lock.json", "oracle.mjs")
CASES = 10_000
ME = "111122223333"
ANN = f"arn:aws:iam::{ME}:user/ann"
WORDS = {"Allowed": "allow", "ExplicitlyDenied": "deny", "ImplicitlyDenied": "no"}
ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObjectVersion")
ACTION_PATTERNS = (
    "s3:*", "s3:Get*", "S3:getobject", "s3:PutObject", "s3:?etObject", "*", "s3:List*",
    "s3:*Version",
)  # fmt: skip
OBJECTS = ("arn:aws:s3:::b/k", "arn:aws:s3:::b/a/b/c", "arn:aws:s3:::c/k", "arn:aws:s3:::b/ann/x")
RESOURCES = dict.fromkeys(ACTIONS, OBJECTS) | {"s3:ListBucket": ("arn:aws:s3:::b",)}
RESOURCE_PATTERNS = (
    "*", "arn:aws:s3:::b/*", "arn:aws:s3:::*/k", "arn:aws:s3:::b/?", "arn:aws:s3:::b",
    "arn:*:s3:::b/a/*", "arn:aws:s3:::b/${aws:username}/*",
)  # fmt: skip
# By condition key: the operators that fit it, the values in policies, the values in requests.
TEXT = ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike",
        "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase")  # fmt: skip
ORDER = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
KEYS = {
    "s3:prefix": (
        TEXT,
        ("home/", "home/*", "x", "HOME/", "h?me/", "${aws:username}/"),
        ("home/", "HOME/", "home/x", "x", "ann/"),
    ),
    "s3:max-keys": (
        tuple(f"Numeric{each}" for each in ORDER), ("10", "20"), ("5", "10", "20", "30"),
    ),
    "aws:CurrentTime": (
        tuple(f"Date{each}" for each in ORDER),
        ("2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2026-03-01T12:00:00Z", "2026-07-01T00:00:00Z"),
    ),
    "aws:SecureTransport": (("Bool",), ("true", "false"), ("true", "false")),
    "aws:SourceIp": (
        ("IpAddress", "NotIpAddress"),
        ("10.0.0.0/8", "10.1.2.3", "192.168.0.0/16"),
        ("10.1.2.3", "10.200.0.1", "192.168.1.1", "8.8.8.8"),
    ),
    "aws:PrincipalArn": (
        ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"),
        (f"arn:aws:iam::{ME}:user/*", f"arn:aws:iam::{ME}:user/ann", f"arn:aws:iam::{ME}:role/*"),
        (f"arn:aws:iam::{ME}:user/ann",),
    ),
}  # fmt: skip
TAG_KEYS = ("ForAnyValue", "ForAllValues")


def condition(chance):
    """Operator, key, values."""
    if chance.random() < 0.15:
        operator = f"{chance.choice(TAG_KEYS)}:{chance.choice(TEXT[:4])}"
        return operator, "aws:TagKeys", chance.sample(("a", "b", "x*"), chance.randint(1, 2))
    if chance.random() < 0.1:
        return "Null", chance.choice((*KEYS, "aws:TagKeys")), [chance.choice(("true", "false"))]
    key = chance.choice(tuple(KEYS))
    operators, values, _ = KEYS[key]
    operator = chance.choice(operators) + chance.choice(("", "", "IfExists"))
    many = 1 if operator.startswith("Bool") else min(len(values), chance.randint(1, 2))
    return operator, key, chance.sample(values, many)


def statement(chance):
    found = {
        "Effect": chance.choice(("Allow", "Allow", "Allow", "Deny")),
        chance.choice(("Action",) * 4 + ("NotAction",)): chance.sample(
            ACTION_PATTERNS, chance.randint(1, 2)
        ),
        chance.choice(("Resource",) * 4 + ("NotResource",)): chance.sample(
            RESOURCE_PATTERNS, chance.randint(1, 2)
        ),
    }
    if chance.random() < 0.6:
        conditions = found["Condition"] = {}
        for _ in range(chance.choice((1, 1, 2))):
            operator, key, values = condition(chance)
            conditions.setdefault(operator, {})[key] = values
    return found


def policies(chance):
    return [
        {
            "Version": "2012-10-17",
            "Statement": [statement(chance) for _ in range(chance.randint(1, 3))],
        }
        for _ in range(chance.randint(1, 2))
    ]


def case(chance):
    action = chance.choice(ACTIONS)
    context = {
        key: chance.choice(values) for key, (_, _, values) in KEYS.items() if chance.random() < 0.7
    }
    if chance.random() < 0.7:
        context["aws:TagKeys"] = chance.sample(("a", "b", "x1", "zz"), chance.randint(1, 2))
    return {
        "policies": policies(chance),
        "boundary": policies(chance) if chance.random() < 0.2 else None,
        "action": action,
        "resource": chance.choice(RESOURCES[action]),
        "context": {
            **context,
            "aws:username": "ann",
            "aws:PrincipalArn": f"arn:aws:iam::{ME}:user/ann",
        },
    }


def ours(given):
    def sources(texts):
        return [
            (f"p{n}", parse(json.dumps(text), PolicyKind.IDENTITY)) for n, text in enumerate(texts)
        ]

    request = Request(
        action=given["action"].lower(),
        resource=given["resource"],
        context={key.lower(): value for key, value in given["context"].items()},
        caller=Caller(account=ME, own="AIDAANN", issuer="AIDAANN"),
    )
    bound = given["boundary"]
    found = decide(
        request,
        Policies(
            identity=sources(given["policies"]),
            boundary=None if bound is None else sources(bound),
        ),
    )
    return "allow" if found.allowed else "deny" if found.explicit_deny else "no"


def missing(reason):
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI must have it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def oracle():
    """The folder of the other evaluator, installed from its lock file."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("no npm and node here")
    home = cache_home() / "clients" / "iam-oracle"
    home.mkdir(parents=True, exist_ok=True)
    same = all((home / each).exists() for each in FILES) and (home / "node_modules").exists()
    if not same or any((home / each).read_text() != (HERE / each).read_text() for each in FILES):
        for each in FILES:
            shutil.copy(HERE / each, home / each)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=300)
        if done.returncode:
            missing(f"the oracle cannot be installed: {done.stderr[-500:]}")
    return home


def theirs(home, cases):
    lines = "\n".join(json.dumps(each) for each in cases)
    done = subprocess.run(
        ["node", "oracle.mjs"], cwd=home, input=lines, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-1000:]
    return [WORDS[line] for line in done.stdout.split()]


def test_10000_random_cases(oracle):
    chance = random.Random(11)
    cases = [case(chance) for _ in range(CASES)]
    found = theirs(oracle, cases)
    assert len(found) == CASES
    assert set(found) == set(WORDS.values())
    different = [
        (given, own, other)
        for given, other in zip(cases, found, strict=True)
        if (own := ours(given)) != other
    ]
    assert not different, f"{len(different)}, the first: {json.dumps(different[0])}"
