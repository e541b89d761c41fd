"""What operations elsewhere are asked about the replicas of their target."""
