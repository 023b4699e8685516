"""What a Kubernetes cluster must have before s2i starts on it, and whether it does."""
