"""Training of the networks on labelled CTs: recipes, samplers, the training loop, and runs of all stages."""
