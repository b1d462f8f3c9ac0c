"""Mixes: sampling to targets, shards, dataset cards."""
