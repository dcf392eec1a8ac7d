"""Reads CTs into volumes and writes masks back onto the voxels of the CT's file."""
