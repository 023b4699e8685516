"""What the deployments of the service call each other by and say to each other. Imports none of them."""

DESK = "Desk"
"""Name of the deployment of which there is one."""
