"""Risk-sensitive diffusion: SDEs, levels, loss and samplers, all on tensors."""
