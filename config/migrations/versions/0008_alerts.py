"""The index of alerts.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lake_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("survey_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("bands", sa.JSON(), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("first_mjd", sa.BigInteger(), nullable=True),
        sa.Column("last_mjd", sa.BigInteger(), nullable=True),
        sa.Column("cover", sa.LargeBinary(), nullable=True),
        sa.Column("gen_from", sa.Integer(), nullable=False),
        sa.Column("gen_to", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["survey_id"], ["survey.id"], name=op.f("fk_lake_file_survey_id_survey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lake_file")),
        sa.UniqueConstraint("first_id", name=op.f("uq_lake_file_first_id")),
        sa.UniqueConstraint("survey_id", "path", "gen_to", name=op.f("uq_lake_file_survey_id_path_gen_to")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_lake_file_survey_id_gen_to"), "lake_file", ["survey_id", "gen_to"], unique=False)
    op.create_table(
        "lake_pages",
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["lake_file.id"], name=op.f("fk_lake_pages_file_id_lake_file")),
        sa.PrimaryKeyConstraint("file_id", "kind", name=op.f("pk_lake_pages")),
    )
    op.create_table(
        "lake_key",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lake_key")),
    )
    op.execute("INSERT INTO lake_key (id, next_id) VALUES (1, 1)")
    op.create_table(
        "alert",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("candid", sa.BigInteger(), nullable=False),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("object_number", sa.BigInteger(), nullable=True),
        sa.Column("ra", sa.BigInteger(), nullable=False),
        sa.Column("dec", sa.BigInteger(), nullable=False),
        sa.Column("mjd", sa.BigInteger(), nullable=False),
        sa.Column("band", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    _create_lookup("alert_candid", "candid", sa.BigInteger())
    _create_lookup("alert_cell", "cell", sa.Integer())
    _create_lookup("alert_object", "digest", sa.Integer())


def _create_lookup(table: str, column: str, kind: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        table,
        sa.Column(column, kind, autoincrement=False, nullable=False),
        sa.Column("alert_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(column, "alert_id", name=op.f(f"pk_{table}")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in (
        *("alert_object", "alert_cell", "alert_candid", "alert"),
        *("lake_key", "lake_pages", "lake_file"),
    ):
        op.drop_table(table)
