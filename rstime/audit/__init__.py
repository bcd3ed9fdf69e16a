"""Whether generated windows may stand for real ones: fidelity, utility, privacy, robustness, one weighted index."""
