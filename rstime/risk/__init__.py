"""Where risk comes from: datasheets, quality signals, replicates, residuals."""
