"""RFC 9162's tree, exhaustively for every size up to 64."""

import hashlib

import pytest

from bastide.kernel.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

SIZE_MAX = 64
LEAVES = [leaf_hash(b"%d" % number) for number in range(SIZE_MAX)]
OTHER = hashlib.sha256(b"other").digest()


def by_definition(hashes):
    """MTH of RFC 9162, 2.1.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(by_definition(hashes[:k]), by_definition(hashes[k:]))


@pytest.mark.parametrize("size", range(SIZE_MAX + 1))
def test_the_root_is_the_definition(size):
    assert root_of(LEAVES[:size]) == by_definition(LEAVES[:size])


def test_the_known_vectors_of_certificate_transparency():
    """Roots from the reference implementation's tests, google/certificate-transparency."""
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
               "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
    hashes = [leaf_hash(bytes.fromhex(entry)) for entry in entries]
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of(hashes[:1]).hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert root_of(hashes).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_inclusion_from_what_is_left_of_the_leaves_before(size):
    hashes = LEAVES[:size]
    for base in range(size):
        before = CompactRange()
        before.extend(hashes[:base])
        for index in range(base, size):
            path = inclusion_proof(hashes[base:], index, before)
            assert path == inclusion_proof(hashes, index), (base, index)
        for index in (base - 1, size):
            with pytest.raises(IndexError):
                inclusion_proof(hashes[base:], index, before)


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_inclusion_of_every_leaf_and_of_no_other(size):
    hashes = LEAVES[:size]
    root = root_of(hashes)
    for index in range(size):
        path = inclusion_proof(hashes, index)
        for claimed in range(size):
            held = verify_inclusion(claimed, size, hashes[index], path, root)
            assert held == (claimed == index)
        assert not verify_inclusion(index, size, OTHER, path, root)
        assert not verify_inclusion(index, size, hashes[index], [*path, OTHER], root)
        assert not path or not verify_inclusion(index, size, hashes[index], path[:-1], root)


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_consistency_with_every_older_tree_and_with_no_other(size):
    hashes = LEAVES[:size]
    root = root_of(hashes)
    for old in range(1, size + 1):
        path, old_root = consistency_proof(hashes, old), root_of(hashes[:old])
        assert verify_consistency(old, size, old_root, root, path)
        assert not verify_consistency(old, size, OTHER, root, path)
        assert not verify_consistency(old, size, old_root, OTHER, path)
        assert not verify_consistency(old, size, old_root, root, [*path, OTHER])
        assert not path or not verify_consistency(old, size, old_root, root, path[:-1])
        for other in range(1, size + 1):
            if other != old:
                assert not verify_consistency(other, size, old_root, root, path)


def test_the_empty_tree_is_consistent_with_all():
    assert verify_consistency(0, 5, EMPTY_ROOT, root_of(LEAVES[:5]), [])
    assert not verify_consistency(0, 5, OTHER, root_of(LEAVES[:5]), [])
    assert not verify_consistency(6, 5, OTHER, OTHER, [])
    assert not verify_inclusion(5, 5, OTHER, [], OTHER)
    assert not verify_consistency(3, 5, OTHER, OTHER, [])


@pytest.mark.parametrize("size", range(SIZE_MAX + 1))
def test_a_frontier_goes_on_where_it_was(size):
    tree = CompactRange()
    tree.extend(LEAVES[:size])
    again = CompactRange(size, tree.roots)
    again.extend(LEAVES[size:])
    assert again.root() == root_of(LEAVES)
    assert tree.size == size


def test_a_frontier_of_the_wrong_form_is_refused():
    for size, roots in ((3, [OTHER]), (1, [b"short"]), (-1, [])):
        with pytest.raises(ValueError, match="subtree"):
            CompactRange(size, roots)


def test_no_proof_of_what_is_not_there():
    with pytest.raises(IndexError):
        inclusion_proof(LEAVES[:3], 3)
    with pytest.raises(IndexError):
        consistency_proof(LEAVES[:3], 0)
