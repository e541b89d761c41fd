"""Clusters whose primary Redis Sentinels choose, by majority."""
