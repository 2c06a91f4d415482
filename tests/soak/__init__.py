"""Seventy-two hours of monitoring in as few as this machine needs: what grows, what drifts (`make soak`)."""
