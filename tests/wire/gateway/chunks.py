"""`aws-chunked` bodies as a client writes them, signed by the documentation's formulas."""

import hashlib
import hmac
from dataclasses import dataclass


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


@dataclass
class Chunker:
    """Frames parts, and signs them when it has a `secret`."""

    when: str
    region: str
    seed: str
    secret: str | None

    @property
    def scope(self) -> str:
        return f"{self.when[:8]}/{self.region}/s3/aws4_request"

    def _sign(self, text: str) -> str:
        key = f"AWS4{self.secret}".encode()
        for part in self.scope.split("/"):
            key = _mac(key, part)
        return _mac(key, text).hex()

    def chunk(self, data: bytes) -> bytes:
        head = f"{len(data):x}"
        if self.secret is not None:
            empty, own = hashlib.sha256(b"").hexdigest(), hashlib.sha256(data).hexdigest()
            self.seed = self._sign(
                "\n".join(
                    ["AWS4-HMAC-SHA256-PAYLOAD", self.when, self.scope, self.seed, empty, own]
                )
            )
            head += f";chunk-signature={self.seed}"
        return head.encode() + b"\r\n" + data + (b"\r\n" if data else b"")

    def trailer(self, name: str, value: str) -> bytes:
        found = f"{name}:{value}\r\n".encode()
        if self.secret is not None:
            own = hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest()
            signature = self._sign(
                "\n".join(["AWS4-HMAC-SHA256-TRAILER", self.when, self.scope, self.seed, own])
            )
            found += f"x-amz-trailer-signature:{signature}\r\n".encode()
        return found

    def body(self, parts: list[bytes], trailer: tuple[str, str] | None = None) -> bytes:
        done = b"".join(self.chunk(part) for part in [*parts, b""])
        return done + (self.trailer(*trailer) if trailer else b"") + b"\r\n"
