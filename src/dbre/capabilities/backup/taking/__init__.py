"""How a set is made: the source, the place where it lies meanwhile, its log, what is strange about it."""
