"""The mathematics of diffusion with risk: SDEs, levels and fusion, the loss, samplers."""
