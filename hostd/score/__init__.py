"""The detection scoreboard: seeded cases, the product and the rules of the field on the same samples."""
