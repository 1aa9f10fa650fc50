"""What everything else stands on: clock, ids, names, errors. No I/O, no other context."""
