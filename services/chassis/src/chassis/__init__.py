"""The ground under both services: a deadline, a database, migrations, problem details, health."""
