"""Trials of several LRs trained as one batch (`torch.func.vmap`)."""
