"""The model online: Ray Serve deployments behind a FastAPI ingress, and the page to speak into."""
