"""Client truth: processes that act as clients of a cluster, and what they were promised held against what is there."""
