"""The executable datasheet: models of the chip and of the patient, seeded and deterministic."""
