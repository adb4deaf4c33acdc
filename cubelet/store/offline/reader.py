"""An export, read once from its first line to its last, and held to all that it promises."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeVar

import msgspec

from cubelet.core.faults import Code, Reason, error
from cubelet.store import meta, schema
from cubelet.store.offline.audit import Audit
from cubelet.store.offline.exports import VERSION, End, Header
from cubelet.store.offline.rows import TABLES, Row, name_of
from cubelet.store.problems import fault_of

#: An answer has a record inside, of which at most some 600 KB are its user's, and a byte of those
#: may be written as twelve, escaped in the body and in the line.
LINE_BYTES_MAX = 32 << 20

T = TypeVar("T")

_header = msgspec.json.Decoder(Header)
_row = msgspec.json.Decoder(Row | End)
_order = list(TABLES)


class ExportReader:
    """Goes through an export once, and refuses it at the first line that is not right."""

    def __init__(self, source: Path, file: BinaryIO) -> None:
        self.audit = Audit()
        self._source = source
        self._file = file
        #: What sandboxes may live here that are not in it; known once the header was read.
        self.missing = ""
        self._number = 0
        self._digest = hashlib.sha256()

    def rows(self) -> Iterator[Row]:
        """All rows; when they have passed, the file was whole and sound."""
        self._check_header()
        place = 0
        while not isinstance(row := self._decoded(_row, line := self._line()), End):
            if _order.index(name_of(row)) < place:
                self.refuse(f"table {name_of(row)} comes before {_order[place]}")
            place = _order.index(name_of(row))
            for problem in self.audit.row(row):
                self.refuse(f"{problem.where}: {problem.what}")
            self._digest.update(line)
            yield row
        self._check_end(row)

    def refuse(self, why: str) -> NoReturn:
        """Raise what is wrong with the present line."""
        message = f"{self._source}, line {self._number}: {why}; nothing was imported"
        raise error(Code.INVALID_ARGUMENT, Reason.BAD_REQUEST, message)

    def _check_header(self) -> None:
        line = self._line()
        self._digest.update(line)
        header = self._decoded(_header, line)
        if header.version > VERSION or header.format > schema.FORMAT:
            message = (
                f"{self._source} was written by Cubelet {header.cubelet}: "
                f"version {header.version} of format {header.format}, this one reads up to version "
                f"{VERSION} of format {schema.FORMAT}; nothing was imported: use the newer one"
            )
            raise error(Code.FAILED_PRECONDITION, Reason.STORE_FAILED, message)
        if (header.version, header.format) != (VERSION, schema.FORMAT):
            self.refuse(f"no version {header.version} of format {header.format} was ever written")
        made_at = header.made_at.astimezone(UTC)
        self.missing = (
            f"it was imported: an export of {made_at:%Y-%m-%dT%H:%M:%SZ} has nothing newer"
        )

    def _check_end(self, end: End) -> None:
        if end != End(lines=self._number - 1, sha256=self._digest.hexdigest()):
            self.refuse(f"the {self._number - 1} lines before are not those that were written")
        if self._file.read(1):
            self.refuse("there is more behind the last line")
        for problem in self.audit.end():
            self.refuse(f"{problem.where}: {problem.what}")
        if self.audit.meta.get(meta.FORMAT) != str(schema.FORMAT):
            self.refuse(f"meta says format {self.audit.meta.get(meta.FORMAT)}")

    def _line(self) -> bytes:
        self._number += 1
        try:
            line = self._file.readline(LINE_BYTES_MAX)
        except OSError as problem:
            raise fault_of(problem, self._source, doing="read") from problem
        if not line:
            self.refuse("the file ends before its last line: it was cut short")
        return line

    def _decoded(self, decoder: msgspec.json.Decoder[T], line: bytes) -> T:
        try:
            return decoder.decode(line)
        except (ValueError, RecursionError) as why:
            self.refuse(f"not a line of an export: {why}")
