"""What is to be done after an incident, tracked to its end."""
