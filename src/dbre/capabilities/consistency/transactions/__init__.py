"""Transactions that append to lists or write registers: what they saw of each other, and whether it can be put in an order."""
