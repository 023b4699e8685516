"""The native decoder: layout predictor, library of drawings, coarse grounds, denoiser."""
