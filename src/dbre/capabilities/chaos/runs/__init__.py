"""What became of experiments: kept, reported, scored."""
