"""The native decoder: layout predictor, library of drawings, painted grounds, denoiser."""
