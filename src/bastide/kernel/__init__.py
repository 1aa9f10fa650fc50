"""What everything else stands on: clock, ids, names, errors. It reads and writes nothing, and
knows no other context."""
