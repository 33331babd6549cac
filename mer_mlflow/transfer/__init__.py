"""Transfer between datasets: models trained on one dataset predict the clips of others."""
