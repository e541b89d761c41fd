"""Evidence packs: what an operation did, provable offline by people who do not run dbre. Import each module by its name."""
