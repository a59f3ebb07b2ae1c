"""Reading SQL and DDL, and writing a query so that SQLite gives MySQL's answer."""
