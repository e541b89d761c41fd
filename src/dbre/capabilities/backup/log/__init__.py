"""The stream of changes: received, sealed, guarded, checked for gaps, handed to recovery."""
