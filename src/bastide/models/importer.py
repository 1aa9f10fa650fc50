"""One import, from the objects of a bucket to a model that answers: the admission gate.

In order: each file's digest, as it is read; the strict parser, in its cage; the licence; the label,
which is the job's joined with the objects'; and prompts that a model must be able to answer at all.
"""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from bastide.db import durable
from bastide.db.database import Database
from bastide.jobs import folders
from bastide.jobs.ports import JobFailed
from bastide.kernel.call import Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.labels.label import joined
from bastide.models import import_records as records
from bastide.models.import_records import ImportedModel, ImportJob, Status
from bastide.models.imported_models import KEY, WEIGHTS, ImportShelf, engine_name
from bastide.models.importing.facts import Facts
from bastide.models.ports import SERVICE, Judge, Keys, Reading, Roles, Running

FILES_MAX = 500
TEXT_BYTES_MAX = 64 << 20
FREE_BYTES_MIN = 1 << 30  # of the disk, left to everybody else
TRIES_MAX = 5  # that a region ended in
ENDED = "It was ended meanwhile."
SHREDDED = "The keys to what the agency keeps at this label were destroyed."
BUSY_MAX_S = 3600.0  # that a model which is ready waits for the engines
WAITS_MAX_MS = 24 * 3600 * 1000  # that a job waits for the region, all in all
FAILURE_LETTERS_MAX = 2048
BLOCK_BYTES = 1 << 20
TEXTS = frozenset(
    {
        "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json",
        "chat_template.jinja", "README.md",
    }
)  # fmt: skip
T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


class ImportFailed(Exception):
    """It is not taken; the text says why, to who brought it."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A model whose weights are at their place, and which nobody has asked anything yet. It waits
    for the engines until then."""

    made: ImportedModel
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """`licences`: those that the site takes, in small letters. `bytes_max`: of one model."""

    shelf: ImportShelf
    database: Database
    clock: Clock
    roles: Roles
    reading: Callable[[Principal], Reading]
    judge: Judge
    keys: Keys
    running: Running
    licences: Sequence[str]
    bytes_max: int

    def gather(self, job: ImportJob) -> Gathered | str:
        """All but the prompts, from the beginning: what a killed region left of it is not looked
        at. Answers why it failed, or "" where its job has ended. Raises Unavailable where it is to
        be tried again, which is no try that counts; nor is what waits for the engines."""
        found = self._counted(job, self._gathered, over="")
        if isinstance(found, Gathered):
            self.database.write(lambda c: records.unbegin(c, job.id))
        return found

    def try_out(self, job: ImportJob, gathered: Gathered) -> str:
        """Why it failed, or "" where it has come to its end. Raises Unavailable while the engines
        are busy: what was gathered is kept, and it is asked again. One that was ended before has
        failed, so that what was gathered goes."""
        return self._counted(job, lambda _: self._answered(job, gathered), over=ENDED)

    def _counted(self, job: ImportJob, work: Callable[[ImportJob], T], *, over: str) -> T | str:
        """`over`: the answer where the job has ended."""
        now = self.database.write(lambda c: records.begin(c, job.id, self._now_ms()))
        if now is None:
            return over
        try:
            return _explained(now, work)
        except Unavailable:
            if self._now_ms() - job.created_ms > WAITS_MAX_MS:
                return "The region had no time for it for a day. Start it again."
            self.database.write(lambda c: records.unbegin(c, job.id))
            raise

    def _gathered(self, job: ImportJob) -> Gathered:
        self.discard(job.account, job.model)
        if job.attempts > TRIES_MAX:
            raise ImportFailed(f"It was begun {TRIES_MAX} times, and did not come to an end.")
        return Gathered(self._admitted(job), self.clock.monotonic_s() + BUSY_MAX_S)

    def _answered(self, job: ImportJob, gathered: Gathered) -> str:
        card = self.shelf.card_of(gathered.made)
        try:
            reason = self.running.reason_against(card, job.account, job.label)
        except Unavailable as error:
            if self.clock.monotonic_s() < gathered.until_s:
                raise
            hours = f"{BUSY_MAX_S / 3600:.0f} h"
            raise ImportFailed(f"The engines were busy for {hours}. Start it again.") from error
        if not reason and not self._complete(job, gathered.made):
            return ENDED
        return reason

    def fail(self, job: ImportJob, reason: str) -> None:
        """What it leaves is to be discarded then."""
        told = "".join(c if c.isprintable() else "?" for c in reason[:FAILURE_LETTERS_MAX])
        self.database.write(lambda c: records.end_job(c, job, Status.FAILED, told, self._now_ms()))

    def sweep(self) -> None:
        """What no model and no job has left behind, and models that a backup brought back though
        their keys were destroyed. Raises Unavailable and OSError where some of it is there
        still."""
        # Seen before the rows are read: a new job's row is there before its folders.
        places = [one for one in self.shelf.folder.glob("*/*") if one.is_dir()]
        known = self.database.read(records.known_models)
        failure: Unavailable | OSError | None = None
        for place in places:
            account, id_ = place.parent.name, place.name.partition(".")[0]
            if (account, id_) in known:
                if not self._outlives_its_key(place):
                    continue
                self._forget(account, id_)
            try:
                self.discard(account, id_)
            except (Unavailable, OSError) as error:  # the others go all the same
                failure = error
        if failure is not None:
            raise failure

    def shredded(self, account: str, labels: Iterable[str]) -> Collection[str]:
        """The ids of what is to be discarded now that an agency's keys for labels are no more:
        nobody finds it from now on."""
        now_ms = self._now_ms()

        def write(c: Connection) -> Collection[str]:
            found = {id_ for label in labels for id_ in records.of_label(c, account, label)}
            records.forget_models(c, account, found, SHREDDED, now_ms)
            return found

        return self.database.write(write)

    def _forget(self, account: str, id_: str) -> None:
        now_ms = self._now_ms()
        self.database.write(lambda c: records.forget_models(c, account, (id_,), SHREDDED, now_ms))

    def _outlives_its_key(self, place: Path) -> bool:
        named = place / KEY
        return named.is_file() and not self.keys.lives(named.read_text())

    def discard(self, account: str, id_: str) -> None:
        """The files of a model that is not there, and then its engine. Raises Unavailable and
        OSError; the emptied folder stays until its engine has ended, so that `sweep` sees it."""
        place = self.shelf.place(account, id_)
        for one in (place.with_name(f"{id_}.partial"), place):
            if one.is_dir():
                folders.empty_at(one)
                if one == place:
                    self.running.unload(engine_name(account, id_))
                one.rmdir()

    def _admitted(self, job: ImportJob) -> ImportedModel:
        who = self.roles.assume_for_service(job.account, job.role_arn, SERVICE, job.label)
        key = self.keys.newest(job.account, job.label)
        aside = self._aside(job)
        files = self._fetched(job, who, aside / "in")
        facts = self._judged(aside, files)
        licence = self._licence(facts, job.licence)
        durable.replace(aside / KEY, key.encode())
        return self._placed(job, aside, facts, files, licence)

    def _fetched(self, job: ImportJob, who: Principal, folder: Path) -> Mapping[str, str]:
        """The digest of each file that belongs to the model."""
        bucket, _, path = job.source.removeprefix("s3://").partition("/")
        prefix = f"{path.rstrip('/')}/" if path.rstrip("/") else ""
        reading = self.reading(who)
        names = [key.removeprefix(prefix) for key in reading.listing(bucket, prefix)]
        wanted = [name for name in names if _belongs(name)]
        if len(wanted) > FILES_MAX:
            raise ImportFailed(f"A model has at most {FILES_MAX} files.")
        left, found = self.bytes_max, {}
        for name in wanted:
            chunks = reading.chunks(bucket, prefix + name)
            most = min(left, TEXT_BYTES_MAX) if name in TEXTS else left
            found[name], size = _kept(folder / name, chunks, most)
            left -= size
        label, own = joined(reading.read_at), self.shelf.marks.parse(job.label)
        assert label is None or own.dominates(label), "its role reads nothing above it"
        return found

    def _judged(self, aside: Path, files: Mapping[str, str]) -> Facts:
        """What the cage says is not believed: hostile files may have taken it over."""
        judged = self.judge.judge(aside / "in", aside / "out", self.bytes_max)
        found = judged.facts
        if found is None:
            raise ImportFailed(judged.reason)
        if not (found.can_be() and (found.converted or found.weights in files)):
            raise ImportFailed("The files could not be read.")
        return found

    def _licence(self, facts: Facts, given: str) -> str:
        """What the files say; only where they say nothing, what who brought them says."""
        if given and facts.licence and given.lower() != facts.licence.lower():
            raise ImportFailed(
                f"The files say the licence {facts.licence[:100]}, the job says {given[:100]}."
            )
        found = facts.licence or given
        if not found:
            raise ImportFailed(
                "The files do not say their licence: neither general.license nor README.md does. "
                "The job's tag bastide:licence may."
            )
        if found.lower() not in self.licences:
            raise ImportFailed(f"The licence {found[:100]} is not one that this site takes.")
        return found

    def _placed(
        self,
        job: ImportJob,
        aside: Path,
        facts: Facts,
        files: Mapping[str, str],
        licence: str,
    ) -> ImportedModel:
        """The weights at their place. Nobody finds them there before the job's end says so."""
        came = aside / "out" / WEIGHTS if facts.converted else aside / "in" / facts.weights
        if not stat.S_ISREG(came.lstat().st_mode):
            raise ImportFailed("The weights could not be kept.")
        place = self.shelf.place(job.account, job.model)
        durable.folder(place)
        (aside / KEY).rename(place / KEY)
        weights = place / WEIGHTS
        came.rename(weights)
        digest, size = _sealed(weights)
        if not facts.converted and digest != files[facts.weights]:
            raise ImportFailed("The weights changed while they were looked at.")
        folders.remove(aside)
        durable.sync_folder(place)
        return ImportedModel(
            id=job.model,
            account=job.account,
            label=job.label,
            name=job.model_name,
            job=job.id,
            job_name=job.name,
            source=job.source,
            sha256=digest,
            size=size,
            architecture=facts.architecture,
            context_tokens=facts.context_tokens,
            kv_bytes_per_token=facts.kv_bytes_per_token,
            licence=licence,
            instruct=facts.instruct,
            created_ms=self._now_ms(),
            files=files,
            tags=job.model_tags,
        )

    def _complete(self, job: ImportJob, made: ImportedModel) -> bool:
        """False where somebody ended the job meanwhile: there is no model then."""

        def write(c: Connection) -> bool:
            ended = records.end_job(c, job, Status.COMPLETED, "", self._now_ms())
            if ended:
                records.add_model(c, made)
            return ended

        return self.database.write(write)

    def _aside(self, job: ImportJob) -> Path:
        """Where an import gathers its files; what is there before goes."""
        aside = self.shelf.folder / job.account / f"{job.model}.partial"
        durable.folder(aside.parent)
        for folder in (aside, aside / "in", aside / "out"):
            folder.mkdir(mode=0o700)
        return aside

    def _now_ms(self) -> int:
        return epoch_ms(self.clock.now())


def _explained(job: ImportJob, work: Callable[[ImportJob], T]) -> T | str:
    try:
        return work(job)
    except (ImportFailed, JobFailed) as error:
        return str(error)
    except ServiceError as error:
        return error.message
    except OSError as error:
        return f"The files could not be kept: {error.strerror}."


def _belongs(name: str) -> bool:
    """What else lies in the folder is not read, whatever it is: pickles, pictures, folders."""
    if name in TEXTS:
        return True
    is_weights = name.endswith((".safetensors", ".gguf")) and "/" not in name
    if is_weights and not _NAME.fullmatch(name):
        raise ImportFailed(f"{name[:100]} is no name that weights can have.")
    return is_weights


def _kept(path: Path, chunks: Iterable[bytes], most: int) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise ImportFailed(f"{path.name} is larger than {most} bytes, or the model is.")
            if shutil.disk_usage(path.parent).free < FREE_BYTES_MIN:
                raise ImportFailed("There is no room left on the disk.")
            digest.update(chunk)
            file.write(chunk)
    path.chmod(0o444)  # for the cage's own uid; the folders above are closed
    return digest.hexdigest(), size


def _sealed(weights: Path) -> tuple[str, int]:
    """The digest and the size of weights, which are the region's own, and on the disk, from now."""
    descriptor = os.open(weights, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        os.fchown(file.fileno(), os.getuid(), os.getgid())
        os.fchmod(file.fileno(), 0o444)
        digest, size = hashlib.sha256(), 0
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            size += len(block)
        os.fsync(file.fileno())
    return digest.hexdigest(), size
