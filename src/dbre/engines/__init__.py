"""One package for each kind of database server; what an engine knows lives nowhere else."""
