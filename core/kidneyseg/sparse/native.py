"""Native kernels (being built)."""
from typing import Any
def serves(_x: Any) -> bool: return False
