"""How the shipped model was made: data sources, data sets, training. Nothing here runs at inference."""
