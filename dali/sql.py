"""What tables have in common: constraints have names, as migrations need them, and columns their types."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, MetaData, Text

#: Of a key that the database numbers: SQLite numbers no other type by itself.
NUMBERED = BigInteger().with_variant(Integer, "sqlite")

#: Columns by the types of their attributes.
COLUMN_TYPES = {
    int: BigInteger,
    str: Text,
    dict[str, Any]: JSON(none_as_null=True),
    list[Any]: JSON(none_as_null=True),
}


def named_constraints() -> MetaData:
    """Make the metadata of the tables of one package."""
    return MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
