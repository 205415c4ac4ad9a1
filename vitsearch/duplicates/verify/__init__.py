"""Whether two photos show the same shot: geometry, agreement, motion."""
