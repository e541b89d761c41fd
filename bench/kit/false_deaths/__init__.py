"""Clusters that suffer, and whoever takes that for death."""
