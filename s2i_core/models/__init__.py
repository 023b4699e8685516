"""The networks: speech encoder, projection, image encoder, layout predictor, denoiser; and the retrieval library."""
