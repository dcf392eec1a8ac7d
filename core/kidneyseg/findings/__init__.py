"""Measurements on a mask: volumes, sides, tumours and cysts with their diameters."""

from kidneyseg.findings.diameter import longest_diameter_mm
from kidneyseg.findings.measure import LEAST_TUMOUR_ML, measure
from kidneyseg.findings.records import CystFinding, Findings, KidneyFinding, TumourFinding

__all__ = [
    "LEAST_TUMOUR_ML",
    "CystFinding",
    "Findings",
    "KidneyFinding",
    "TumourFinding",
    "longest_diameter_mm",
    "measure",
]
