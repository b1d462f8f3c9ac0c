"""Exact and near-duplicates: kernels, candidates, clusters, survivors."""
