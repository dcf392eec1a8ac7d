"""Reads CTs from DICOM: what series there are, which one to take, and its frames as a volume.

`series.find_series` lists the series of a folder, file or zip, `dicom_reader.load_dicom` reads one, and
`frames.DicomGeometry` keeps what writing back takes. pydicom is imported when the first DICOM file is read.
"""
