"""The software bill of materials, as CycloneDX JSON."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from components import BuildError, Component
from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as Entry
from cyclonedx.model.component import ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

_VERSION = SchemaVersion.V1_6
_NAMESPACE = uuid.UUID("6b1f3a52-2f0e-4d53-9a57-8b6d0c6f1c22")  # of the serial numbers; any fixed value will do


def bill(version: str, commit: str, epoch: int, parts: Iterable[Component]) -> str:
    """The bill of a version of KidneySeg, the same for the same parts. Raises BuildError if it breaks the schema."""
    licences = LicenseFactory()
    root = Entry(
        name="kidneyseg",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref="kidneyseg",
        licenses=[licences.make_from_string("MIT")],
    )
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, f"{version} {commit}"))
    bom.metadata = BomMetaData(component=root, timestamp=datetime.fromtimestamp(epoch, UTC))
    entries = [_entry(part, licences) for part in parts if part.name != "kidneyseg"]
    for entry in entries:
        bom.components.add(entry)
    bom.register_dependency(root, entries)
    text = make_outputter(bom, OutputFormat.JSON, _VERSION).output_as_string(indent=1)
    if error := JsonStrictValidator(_VERSION).validate_str(text):
        raise BuildError(f"the bill of materials does not follow its schema: {error}")
    return f"{text}\n"


def _entry(part: Component, licences: LicenseFactory) -> Entry:
    purl = PackageURL(
        type=part.kind,
        namespace="debian" if part.kind == "deb" else None,
        name=part.name.lower() if part.kind == "pypi" else part.name,
        version=part.version,
    )
    return Entry(
        name=part.name,
        version=part.version,
        type=ComponentType("library"),
        bom_ref=str(purl),
        purl=purl,
        licenses=[licences.make_from_string(part.licence)],
    )
