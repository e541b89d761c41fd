"""What a policy wants: which kind of copy is due, what is not as it should be, what begins by the calendar."""
