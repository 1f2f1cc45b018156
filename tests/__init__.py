"""Tests; the path of each mirrors the module it tests."""
