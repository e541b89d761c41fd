"""Route 53: record sets of a hosted zone, swapped in one batch of changes."""
