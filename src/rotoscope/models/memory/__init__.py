"""What systems that follow given objects by a space-time memory share: memory, tracker, session, losses, key rows."""
