"""What a hub needs before its services start, in all three deployments: authority and certificates, secrets,
first accounts, Kafka's topics, users and access rules, PostgreSQL's database, schemas and roles."""
