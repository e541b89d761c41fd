"""The demonstration: the real control plane watching real databases that are frozen, killed and brought back."""
