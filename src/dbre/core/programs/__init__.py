"""Programs of others that dbre runs: as which account, with what environment, and where copies of them are kept."""
