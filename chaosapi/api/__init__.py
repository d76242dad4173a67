"""The control plane: one resource a file, and the middlewares, models and errors that all of them use."""
