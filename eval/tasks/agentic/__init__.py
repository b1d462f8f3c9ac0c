"""Agentic misalignment: 27 conditions in which an assistant could act against those it works for."""
