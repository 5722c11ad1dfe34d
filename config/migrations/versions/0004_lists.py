"""Lists: uploads, tasks that make tasks, more columns of the ledger, and jobs that hold files of others.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upload",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("stored", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.job_id"], name=op.f("fk_upload_job_id_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_upload")),
    )
    op.create_table(
        "kept",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("holder_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["holder_id"], ["job.job_id"], name=op.f("fk_kept_holder_id_job"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.job_id"], name=op.f("fk_kept_job_id_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "holder_id", name=op.f("pk_kept")),
    )
    op.create_index("ix_kept_holder", "kept", ["holder_id"], unique=False)
    # Each by itself: SQLite would make a table anew for several, and with it lose what refers to it.
    op.add_column("job", sa.Column("packaged", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("job", sa.Column("parent_id", sa.Text(), server_default="", nullable=False))
    op.add_column("job", sa.Column("estimate", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("task", sa.Column("kind", sa.Text(), server_default="heavy", nullable=False))
    op.add_column("task", sa.Column("common", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("result", sa.Column("label", sa.Text(), server_default="", nullable=False))
    op.add_column("result", sa.Column("verdict", sa.Text(), server_default="", nullable=False))
    op.add_column("result", sa.Column("facts", sa.JSON(none_as_null=True), nullable=True))
    op.add_column(
        "result", sa.Column("attempts", sa.BigInteger(), server_default=sa.text("1"), nullable=False)
    )
    op.add_column("result", sa.Column("seconds", sa.Double(), server_default=sa.text("0"), nullable=False))
    op.execute("UPDATE result SET verdict = status")
    op.create_index("ix_result_verdict", "result", ["job_id", "verdict", "row", "part"], unique=False)
    op.create_index("ix_result_label", "result", ["job_id", "label"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_result_label", "result")
    op.drop_index("ix_result_verdict", "result")
    for table, columns in (
        ("result", ("seconds", "attempts", "facts", "verdict", "label")),
        ("task", ("common", "kind")),
        ("job", ("estimate", "parent_id", "packaged")),
    ):
        for column in columns:
            op.drop_column(table, column)
    op.drop_index("ix_kept_holder", "kept")
    op.drop_table("kept")
    op.drop_table("upload")
