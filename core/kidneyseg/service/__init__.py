"""Segments what arrives: studies that a PACS sends (`kidneyseg serve-dicom`) or that lie in a watched folder.

`job_queue` keeps the jobs on disk, each in a folder with a record that is replaced as a whole, so that a process that
is killed at any point goes on where it was. `intake` gathers the objects of a study, `receiver` takes them from the
network, `watching` finds CTs in a folder. `processing` has one job at a time segmented, in a process of its own
(`job_process`), and `sender` gives the results to the PACS.

The package stands beside `dicom_export`: the objects are made by the process of the job, which is `kidneyseg segment`.
pynetdicom is imported when a server starts.
"""
