"""Writes what was found on a DICOM series as DICOM objects that a PACS takes.

`contents` gathers what all objects say: the pixels and the name of each kidney, tumour and cyst, on the series' own
frames. `seg`, `rtstruct`, `structured_report` and `key_images` make one kind of object each, `formats` writes files.

The package stands above `segmentation`: its objects name the networks, the settings and the version that made a mask,
as the sidecar does, and the sidecar lies beside them. It stands beside `editing` and `datasets`, none of which needs
the others. Reading DICOM is `imaging.dicom`, a floor for files, which knows no findings. pydicom and highdicom are
imported when the first object is made.
"""
