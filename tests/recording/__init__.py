"""What a recording survives: hosts killed at random moments, full disks, and what a record costs.

`python -m tests.recording` measures; a slice of it is in `tests/hostd/test_recording_campaign.py`.
"""
