"""The questions that every cluster should have an answer to, and the suite that asks them."""
