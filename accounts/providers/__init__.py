"""Who vouches for people: directories (LDAP), OpenID providers, issuers of JWT; declared in TOML."""
