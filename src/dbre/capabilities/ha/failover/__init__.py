"""The primary is dead: see that it stays dead, promote the replica that loses least, and lead everybody there."""
