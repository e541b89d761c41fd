"""Plans for the loss of a whole site: checked against the live cluster, rehearsed, carried out, and led back."""
