"""Lost writes: what an old primary acknowledged after the others had gone on without it, as a file for whom it concerns."""
