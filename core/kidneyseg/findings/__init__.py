"""Measurements on a mask: volumes, sides, tumours and cysts with their diameters; flags."""

from kidneyseg.findings.diameter import longest_diameter_mm
from kidneyseg.findings.measure import measure
from kidneyseg.findings.owners import LEAST_TUMOUR_ML
from kidneyseg.findings.records import Confidence, CystFinding, Findings, Flag, KidneyFinding, TumourFinding

__all__ = [
    "LEAST_TUMOUR_ML",
    "Confidence",
    "CystFinding",
    "Findings",
    "Flag",
    "KidneyFinding",
    "TumourFinding",
    "longest_diameter_mm",
    "measure",
]
