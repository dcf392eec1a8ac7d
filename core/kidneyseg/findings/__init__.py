"""Measurements on a mask: volumes, sides, tumours and their diameters."""

from kidneyseg.findings.diameter import longest_diameter_mm
from kidneyseg.findings.measure import LEAST_TUMOUR_ML, Findings, KidneyFinding, TumourFinding, measure

__all__ = ["LEAST_TUMOUR_ML", "Findings", "KidneyFinding", "TumourFinding", "longest_diameter_mm", "measure"]
