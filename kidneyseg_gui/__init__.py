"""The window: knows the engine; the engine never knows it."""
