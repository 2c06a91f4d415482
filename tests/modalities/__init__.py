"""Every modality on the model patient, seed by seed, through the product's own pipeline, beside its truth."""
