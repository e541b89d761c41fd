"""What is known of sets, log files, gaps and drills, in the state store."""
