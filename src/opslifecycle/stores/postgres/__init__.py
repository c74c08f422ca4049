"""A store on a PostgreSQL server, for registries of many hosts. Needs the extra `postgres`."""
