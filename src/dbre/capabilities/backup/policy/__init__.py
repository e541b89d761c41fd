"""When which copies are due, and whether what is there is as it should be."""
