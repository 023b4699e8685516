"""The model behind the service: two deployments that batch by what a request costs."""
