"""A stopped PostgreSQL server becomes a standby of the primary again: as it is, rewound, or copied anew."""
