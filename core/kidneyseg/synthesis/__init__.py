"""Synthetic anatomy and pathology in real CTs: contrast phases, fat, pseudotumours, inserted lesions."""
