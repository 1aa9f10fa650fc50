"""Objects, agencies, models and environments."""

import hashlib

from bastide.environments.catalogue import Environments
from bastide.kernel.errors import ServiceError
from bastide.models.model import LocalFile
from bastide.store.blobs import Blobs
from tests.faults import Between
from tests.identity_kit import site_at
from tests.images import file, image, layer
from tests.inference_kit import entry, gguf, models_at
from tests.saga.driver import Story
from tests.stores import FakeKeyring, Store

PART_BYTES = 5 * 1024**2
WEIGHTS = gguf(**{"general.name": "n" * 3000})


class Objects(Story):
    """A bucket with an object that is not small."""

    def prepare(self):
        around, root = self.saboteur.around, self.folder / "objects"
        self.store = Store(
            Between(self.database, around, "database"),
            root,
            keyring=Between(FakeKeyring(), around, "keyring"),
            blobs=Between(Blobs(root), around, "blobs"),
        )
        self.store.bucket()
        self.store.put("key", b"o" * 100_000)

    def restart(self):
        self.store.upkeep.start()

    def state(self):
        body = self.store.get("key")
        return self.rows() | {
            "files": len(self.store.files()), f"body {hashlib.sha256(body).hexdigest()}": 1,
        }  # fmt: skip

    def close(self):
        self.store.close()


class PutObject(Objects):
    def act(self):
        return self.store.put("key", b"n" * 200_000)


class CompleteMultipartUpload(Objects):
    """One of the three parts is not used."""

    def prepare(self):
        super().prepare()
        made = self.store.call("create_multipart_upload", Bucket="bucket", Key="key")
        self.named = {"Bucket": "bucket", "Key": "key", "UploadId": made["UploadId"]}
        sizes = {1: PART_BYTES, 2: 70_000, 3: 80_000}
        self.parts = [
            {"PartNumber": number, "ETag": self.part(number, b"p" * size)["ETag"]}
            for number, size in sizes.items()
        ]

    def part(self, number, body):
        return self.store.call("upload_part", body=body, PartNumber=number, **self.named)

    def act(self):
        asked = {"Parts": self.parts[:2]}
        return self.store.call("complete_multipart_upload", MultipartUpload=asked, **self.named)


class CreateAgency(Story):
    taken = ("EntityAlreadyExists",)

    def prepare(self):
        around = self.saboteur.around
        self.site = site_at(Between(self.database, around, "database"), self.folder)

    def act(self):
        return self.site.agencies.create("beta", "222233334444")

    def state(self):
        """Whoever is there can sign."""
        found = self.site.agencies.find("beta")
        keys = self.site.agencies.administrator_keys(found) if found else ()
        return self.rows() | {"keys": len(keys)}


class PullModel(Story):
    def prepare(self):
        given = self.folder / "given.gguf"
        given.write_bytes(WEIGHTS)
        source = LocalFile(path=str(given))
        self.models = models_at(self.folder, {"tiny": entry(WEIGHTS, source)})

    def act(self):
        return self.saboteur.watch(self.models.pull("tiny"))

    def restart(self):
        self.models.refresh()

    def state(self):
        shelf = self.folder / "models"
        found = [each.relative_to(shelf) for each in shelf.rglob("*") if each.is_file()]
        there = {str(each): 1 for each in found if each.parts[0] != ".partial"}
        return self.rows() | there | {"cards": len(self.models.cards())}

    def leftovers(self):
        return list((self.folder / "models" / ".partial").iterdir())


class AddModel(PullModel):
    def act(self):
        asked = {
            "file": str(self.folder / "given.gguf"), "model_id": "own.tiny-v1:0",
            "sha256": hashlib.sha256(WEIGHTS).hexdigest(), "licence": "MIT",
            "context_tokens": 128,
        }  # fmt: skip
        return self.saboteur.watch(self.models.add(asked))


class ImportImage(Story):
    def prepare(self):
        made = layer(file("bin/tool", mode=0o755), file("usr/lib/a"))
        self.tar = image(self.folder / "image.tar", made, layer(file("etc/b")))
        self.environments = Environments(folder=self.folder / "environments", locks={})

    def act(self):
        return self.saboteur.watch(self.environments.import_oci(self.tar, "registry/own:1"))

    def state(self):
        try:
            found = self.environments.for_image("registry/own:1")
        except ServiceError:
            return self.rows()
        inside = [each for each in found.root.rglob("*") if each.is_file()]
        return self.rows() | {found.digest: 1, "files": len(inside)}

    def leftovers(self):
        folder = self.folder / "environments"
        made = [each for each in (folder / "store").iterdir() if not each.name.startswith(".")]
        aside = [*folder.glob("store/.*/*"), *folder.glob("manifests/*.new")]
        return aside + made[1:]
