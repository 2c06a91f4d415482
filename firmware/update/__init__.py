"""Updates of the edge: signed bundles, two slots, a trial, and the way back."""
