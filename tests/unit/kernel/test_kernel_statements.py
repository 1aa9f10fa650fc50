"""What is signed is exact: one spelling of an action, one meaning of a signature."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from bastide.kernel import statements
from bastide.kernel.approvals import ACTION_SIZE_MAX, canonical, digest_of
from bastide.kernel.statements import BadKey, Statement, Verdict

STATEMENT = Statement(
    region="us-gov-west-1", request="r-1", kind="downgrade", digest="ab" * 32,
    requester="operator", expires_ms=1_800_000_000_000, wait_ms=0, nonce="n-1",
    verdict=Verdict.APPROVE, officer="ann", reason="",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def changed(name):
    now = getattr(STATEMENT, name)
    if isinstance(now, int):
        return now + 1
    return Verdict.REJECT if name == "verdict" else now + "x"


@pytest.mark.parametrize("algorithm", ["ed25519", "p384"])
class TestSignatures:
    def test_of_the_statement_and_of_no_other(self, algorithm):
        key = statements.new_key(algorithm)
        signature = statements.sign(STATEMENT, key)
        assert statements.holds(STATEMENT, signature, key.public_key())
        for name in Statement.__struct_fields__:
            other = msgspec.structs.replace(STATEMENT, **{name: changed(name)})
            assert not statements.holds(other, signature, key.public_key()), name

    def test_of_nobody_else(self, algorithm):
        signature = statements.sign(STATEMENT, statements.new_key(algorithm))
        for other in ("ed25519", "p384"):
            key = statements.new_key(other).public_key()
            assert not statements.holds(STATEMENT, signature, key)
        assert not statements.holds(STATEMENT, "not base64!", key)
        assert not statements.holds(STATEMENT, "", key)

    def test_keys_are_kept_as_pem(self, algorithm):
        key = statements.new_key(algorithm)
        public = statements.parse_public(statements.public_pem(key.public_key()))
        for passphrase in (b"", b"correct horse"):
            pem = statements.private_pem(key, passphrase)
            again = statements.parse_private(pem, passphrase or None)
            assert statements.holds(STATEMENT, statements.sign(STATEMENT, again), public)
        with pytest.raises(BadKey):
            statements.parse_private(pem, b"wrong")
        with pytest.raises(TypeError):
            statements.parse_private(pem)
        assert statements.fingerprint(public) == statements.fingerprint(key.public_key())


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())],
    ids=["rsa", "p256"],
)
def test_other_kinds_of_keys_are_refused(key):
    with pytest.raises(BadKey, match="Ed25519 or an ECDSA P-384"):
        statements.parse_public(statements.public_pem(key.public_key()))
    with pytest.raises(BadKey, match="Ed25519 or an ECDSA P-384"):
        statements.parse_private(statements.private_pem(key))


@pytest.mark.parametrize("text", ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n", "é"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(BadKey):
        statements.parse_public(text)
    with pytest.raises(BadKey):
        statements.parse_private(text.encode())


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(BadKey, match="rot13"):
        statements.new_key("rot13")


@given(st.dictionaries(st.text(), JSON))
def test_one_action_has_one_spelling(action):
    text = canonical(action)
    assert msgspec.json.decode(text) == action
    shuffled = dict(reversed(action.items()))
    assert digest_of(shuffled) == digest_of(action)


@pytest.mark.parametrize(
    "action", [{"a": 0.5}, {"a": [float("nan")]}, {"a": {1: 2}}, {"a": b"x"}, {"a": "\ud800"}]
)
def test_what_parsers_read_unlike_is_no_action(action):
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        canonical(action)


def test_an_action_is_bounded():
    canonical({"a": "x" * (ACTION_SIZE_MAX - 8)})
    with pytest.raises(ValueError, match="at most"):
        canonical({"a": "x" * (ACTION_SIZE_MAX - 7)})


def test_true_is_not_one():
    assert len({digest_of({"a": value}) for value in (True, 1, "1", None, [1])}) == 5
