"""Whatever may come in: a million control messages, a hundred thousand link frames (`make fuzz`)."""
