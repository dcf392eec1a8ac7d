"""What a mask says: volumes, sides, tumours and their diameters."""

from kidneyseg.findings.measure import (
    LEAST_TUMOUR_ML,
    Findings,
    Kidney,
    Tumour,
    longest_diameter_mm,
    measure,
)

__all__ = ["LEAST_TUMOUR_ML", "Findings", "Kidney", "Tumour", "longest_diameter_mm", "measure"]
