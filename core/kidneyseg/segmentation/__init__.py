"""From a volume to a mask: the methods, their stages, the pipeline that remembers intermediates, and export."""
