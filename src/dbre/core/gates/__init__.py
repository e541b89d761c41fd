"""Gates: may this operation start, and may it go on? Each module is imported by its own name."""
