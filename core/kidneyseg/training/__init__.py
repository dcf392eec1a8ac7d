"""Networks from labelled CTs: data, augmentation, inserted lesions, recipes and the training loop."""
