"""See to it, and see, that a server cannot take one more write: rung after rung, each confirmed."""
