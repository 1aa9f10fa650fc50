"""What lies in a data source's bucket, read as the knowledge base's role: every read is asked of
the policies first."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from hashlib import sha256

from bastide.jobs.ports import JobFailed
from bastide.kernel.call import Principal
from bastide.kernel.labels.label import Label, joined
from bastide.kernel.regions import Region
from bastide.knowledge.attributes import SIZE_MAX as SIDECAR_MAX
from bastide.knowledge.attributes import SUFFIX
from bastide.knowledge.model import Source
from bastide.knowledge.reading import Unreadable
from bastide.training.ports import Objects, Permits
from bastide.training.transfer import Transfer, split_uri

DOCUMENTS_MAX = 100_000  # of a source
CONTENT_MAX = 50 * 1024 * 1024  # of a document: AWS's quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """`documents`: their keys by URI. `sidecars`: the keys of what only says something of them."""

    documents: Mapping[str, str]
    sidecars: Set[str]

    def sidecar_of(self, key: str) -> str:
        return key + SUFFIX if key + SUFFIX in self.sidecars else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A document's bytes and what is said of it; `ceiling` is the label that they had."""

    content: bytes
    sidecar: bytes | None
    ceiling: Label

    @property
    def digest(self) -> str:
        return sha256(self.content).hexdigest()

    @property
    def sidecar_digest(self) -> str:
        return "" if self.sidecar is None else sha256(self.sidecar).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    region: Region
    permits: Permits
    objects: Objects

    def listing(self, who: Principal, source: Source) -> Listed:
        """Raises JobFailed."""
        wanted = source.request["dataSourceConfiguration"]["s3Configuration"]
        bucket = wanted["bucketArn"].rpartition(":")[2]
        transfer, documents, sidecars = self._transfer(who), {}, set()
        for prefix in wanted.get("inclusionPrefixes") or ("",):
            for key in transfer.listing(bucket, prefix):
                if key.endswith(SUFFIX):
                    sidecars.add(key)
                elif not key.endswith("/"):
                    documents[f"s3://{bucket}/{key}"] = key
        if len(documents) > DOCUMENTS_MAX:
            raise JobFailed(f"The data source has more than {DOCUMENTS_MAX} documents.")
        return Listed(documents=documents, sidecars=sidecars)

    def fetch(
        self, who: Principal, uri: str, sidecar: str = "", *, bytes_max: int = CONTENT_MAX
    ) -> Fetched:
        """Raises Unreadable. `sidecar` is a key of the same bucket, or ""."""
        transfer = self._transfer(who)
        try:
            bucket, key = split_uri(uri)
            content = transfer.read(bucket, key, bytes_max)
            said = transfer.read(bucket, sidecar, SIDECAR_MAX) if sidecar else None
        except JobFailed as error:
            raise Unreadable(str(error)) from error
        ceiling = joined(transfer.read_at)
        assert ceiling is not None, "something was read"
        return Fetched(content=content, sidecar=said, ceiling=ceiling)

    def _transfer(self, who: Principal) -> Transfer:
        return Transfer(
            region=self.region, principal=who, objects=self.objects, permits=self.permits
        )
