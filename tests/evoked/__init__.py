"""Averaging studied on seeded models of an operating room: sweeps to a criterion, bias, alarms."""
