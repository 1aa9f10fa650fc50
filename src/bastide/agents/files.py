"""Files that come with a turn: for the code interpreter, or to be read by the model.

What is to be read is somebody's text: it is told behind the user's words, spotlighted, and the
conversation is as wary afterwards as if a function had returned it.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InputFile.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents.asked import Asked
from bastide.agents.interpreting import NAME, File
from bastide.agents.loop import Said
from bastide.agents.ports import DocumentReader, Objects, Permits
from bastide.agents.spotlight import spotlit
from bastide.agents.tools import Does
from bastide.kernel.arns import s3
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, invalid

FILES_MAX = 5  # of a turn
BYTES_MAX = 8 * 1024 * 1024  # of a turn's files, together
TEXTS = frozenset({"txt", "md", "csv", "json", "log", "xml", "yaml", "yml", "py"})
_STATE = "files"
MEMBERS = tuple(
    f"{_STATE}.{name}"
    for name in (
        "name", "useCase", "source.sourceType", "source.byteContent.data", "source.s3Location.uri",
    )
)  # fmt: skip
UNUSED = {
    f"{_STATE}.source.byteContent.mediaType": "what a file is, the end of its name says here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attaching:
    permits: Permits
    objects: Objects
    reader: DocumentReader

    def given(self, call: Call, state: Mapping[str, Any]) -> Sequence[File]:
        """Those of a session's state; those in S3 are read as the caller."""
        asked = state.get(_STATE) or ()
        if len(asked) > FILES_MAX:
            raise invalid(f"A request has {FILES_MAX} files at most.")
        found: list[File] = []
        for one in asked:
            if not NAME.match(one["name"]):
                raise invalid(f"{one['name'][:128]} is no name of a file that is taken.")
            left = BYTES_MAX - sum(len(each.data) for each in found)
            data = self._data(call, one["source"], left)
            found.append(File(name=one["name"], data=data, read=one["useCase"] == "CHAT"))
        if len({one.name for one in found}) < len(found):
            raise invalid("Two files have one name.")
        return found

    async def told(self, asked: Asked) -> Asked:
        """With what is to be read behind the user's words."""
        texts = [
            f"{one.name}:\n{spotlit(await self._text(asked.call, one), asked.held.turn.fence)}"
            for one in asked.files
            if one.read
        ]
        if len(texts) < len(asked.files) and not _interprets(asked):
            raise invalid("The agent has no code interpreter that files could be for.")
        if not texts:
            return asked
        if not isinstance(asked.event, Said):
            raise invalid("Files to be read come with a request, not with results.")
        words = asked.event.text
        held = replace(asked.held, turn=replace(asked.held.turn, tainted=True))
        return replace(asked, held=held, event=Said("\n\n".join([words, *texts]), words))

    async def _text(self, call: Call, one: File) -> str:
        kind = one.name.rpartition(".")[2].lower()
        if kind not in TEXTS:
            return await self.reader.text(call, kind, one.data)
        try:
            return one.data.decode()
        except UnicodeDecodeError as error:
            raise invalid(f"{one.name} is not text.") from error

    def _data(self, call: Call, source: Mapping[str, Any], left: int) -> bytes:
        kind = "byteContent" if source["sourceType"] == "BYTE_CONTENT" else "s3Location"
        if kind not in source:
            raise invalid(f"sourceType {source['sourceType']} needs {kind}.")
        if kind == "byteContent":
            data = bytes(source[kind]["data"])
        else:
            data = self._object(call, source[kind]["uri"], left)
        if len(data) > left:
            raise invalid(f"The files of a request have {BYTES_MAX} bytes at most.")
        return data

    def _object(self, call: Call, uri: str, left: int) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        arn = s3(call.region, bucket, key)
        if not self.permits.permits(call.principal, "s3:GetObject", arn, {}):
            message = f"s3:GetObject is not permitted on {arn}."
            raise ServiceError("AccessDeniedException", message, status=403)
        try:
            info, chunks = self.objects.open(call.principal, bucket, key)
        except ServiceError as error:
            raise invalid(f"{uri}: {error.message}") from error
        if info.size > left:
            raise invalid(f"The files of a request have {BYTES_MAX} bytes at most.")
        return b"".join(chunks)


def _interprets(asked: Asked) -> bool:
    return any(one.does is Does.INTERPRET for one in asked.held.turn.tools.values())
