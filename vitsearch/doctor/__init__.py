"""Is a library sound, and what can be mended: checks, repair from the truth, salvage of a damaged database."""
