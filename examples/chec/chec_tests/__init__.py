"""Tests of the camera's formats."""
