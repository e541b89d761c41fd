"""Operations that begin by the calendar. Each module is imported by its own name."""
