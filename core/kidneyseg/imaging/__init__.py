"""Files become volumes, masks become files again; and a made-up abdomen for tests and the sample case."""
