"""Is the primary dead? Several observers report what they see, and what most of them say decides."""
