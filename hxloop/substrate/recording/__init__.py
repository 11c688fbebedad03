"""Session recordings: every run of a session, in a file that survives a kill and is replayed."""
