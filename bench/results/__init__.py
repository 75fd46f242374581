"""Records, and what may be said of them: groups, boards, ranks. Never torch."""
