"""What both services stand on: a deadline, a database, migrations, problem details, health."""
