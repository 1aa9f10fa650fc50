"""The Merkle tree of RFC 9162, section 2: hashing, compact ranges, proofs and their verifiers.

A `CompactRange` is all that appending needs: the roots of the complete subtrees that cover the
leaves so far, at most 64 hashes. Proofs need the leaf hashes themselves.
"""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The frontier of a tree that grows: O(log n) state, O(1) amortised per leaf."""

    __slots__ = ("_roots", "_size")

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        if size < 0 or len(roots) != size.bit_count():
            raise ValueError(f"{len(roots)} subtrees cannot cover {size} leaves")
        if any(len(root) != HASH_SIZE for root in roots):
            raise ValueError("a subtree's root is not a SHA-256 hash")
        self._size = size
        self._roots = list(roots)

    @property
    def size(self) -> int:
        return self._size

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The complete subtrees' roots, the largest first."""
        return tuple(self._roots)

    def copy(self) -> "CompactRange":
        return CompactRange(self._size, self._roots)

    def extend(self, hashes: Iterable[bytes]) -> None:
        """Append leaf hashes: where as many are there, the whole of the largest subtree that
        begins here, level by level."""
        leaves, digest, at = list(hashes), sha256, 0
        while at < len(leaves):
            size, left = self._size, len(leaves) - at
            height = min((size & -size).bit_length() or left, left.bit_length()) - 1
            level = leaves[at : at + (1 << height)]
            at += len(level)
            while len(level) > 1:
                pairs = zip(level[::2], level[1::2], strict=True)
                level = [digest(b"\x01" + first + second).digest() for first, second in pairs]
            self._add(level[0], 1 << height)

    def _add(self, newest: bytes, leaves: int) -> None:
        """A complete subtree, of no more leaves than the last one has."""
        roots, complete = self._roots, self._size // leaves
        while complete & 1:
            newest = node_hash(roots.pop(), newest)
            complete >>= 1
        roots.append(newest)
        self._size += leaves

    def root(self) -> bytes:
        """The tree head of everything appended so far."""
        if not self._roots:
            return EMPTY_ROOT
        rest = reversed(self._roots)
        head = next(rest)
        for root in rest:
            head = node_hash(root, head)
        return head


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The tree head over `hashes`."""
    tree = CompactRange()
    tree.extend(hashes)
    return tree.root()


def inclusion_proof(
    hashes: Sequence[bytes], index: int, before: CompactRange | None = None
) -> list[bytes]:
    """PATH(index, tree) of RFC 9162, 2.1.3.1: from the leaf's sibling up to the root's child.

    `before`: the leaves that come before `hashes`, and before `index`, of which their subtrees
    are all that the proof needs.
    """
    before = before or CompactRange()
    base, last = before.size, before.size + len(hashes)
    if not base <= index < last:
        raise IndexError(index)
    first, path = 0, []
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            path.append(root_of(hashes[middle - base : last - base]))
            last = middle
        else:
            path.append(_left(before, hashes, first, middle))
            first = middle
    return path[::-1]


def _left(before: CompactRange, hashes: Sequence[bytes], first: int, middle: int) -> bytes:
    """The root of the leaves from `first` to `middle`, of which `before` knows the beginning.
    Its last subtrees are those that cover what it holds after `first`."""
    base = before.size
    if first >= base:
        return root_of(hashes[first - base : middle - base])
    known = min(base, middle) - first
    roots = before.roots[first.bit_count() :][: known.bit_count()]
    tree = CompactRange(known, roots)
    tree.extend(hashes[: max(0, middle - base)])
    return tree.root()


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """PROOF(old_size, hashes) of RFC 9162, 2.1.4.1."""
    if not 0 < old_size <= len(hashes):
        raise IndexError(old_size)
    first, last = 0, len(hashes)
    path: list[bytes] = []
    whole = True  # the old tree is a prefix that starts at `first` and is known to the verifier
    while old_size != last - first:
        middle = _split(last - first)
        if old_size <= middle:
            path.append(root_of(hashes[first + middle : last]))
            last = first + middle
        else:
            path.append(root_of(hashes[first : first + middle]))
            first, old_size, whole = first + middle, old_size - middle, False
    if not whole:
        path.append(root_of(hashes[first:last]))
    return path[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes
) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    node, last, head = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            head = node_hash(sibling, head)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            head = node_hash(head, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and hmac.compare_digest(head, root)


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """RFC 9162, 2.1.4.2. The empty tree is consistent with every tree, by an empty proof."""
    if not 0 <= old_size <= new_size:
        return False
    if old_size in (0, new_size):
        expected = EMPTY_ROOT if old_size == 0 else new_root
        return not path and hmac.compare_digest(old_root, expected)
    steps = iter(path)
    start = old_root if old_size.bit_count() == 1 else next(steps, None)
    if start is None:
        return False
    heads = _climb(old_size - 1, new_size - 1, start, steps)
    return heads is not None and (
        hmac.compare_digest(heads[0], old_root) & hmac.compare_digest(heads[1], new_root)
    )


def _climb(
    node: int, last: int, start: bytes, steps: Iterator[bytes]
) -> tuple[bytes, bytes] | None:
    """Both tree heads that a consistency proof leads to, or None if it is too short or long."""
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = start
    for sibling in steps:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
