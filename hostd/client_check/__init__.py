"""Does a display do what it should on a bus? A scripted bus, and what the display reports of it."""
