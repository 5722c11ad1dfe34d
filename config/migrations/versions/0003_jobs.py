"""Jobs, their tasks, results and events; notices, workers, and what these count.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RUNNABLE = sa.text("phase IN ('QUEUED', 'EXECUTING')")
GONE = sa.text("gone_ms IS NOT NULL")
QUEUED = sa.text("state = 'queued'")
RUNNING = sa.text("state = 'running'")
UNSENT = sa.text("sent_ms IS NULL")


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("rank", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("share", sa.Double(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("queued_ms", sa.BigInteger(), nullable=True),
        sa.Column("turn_ms", sa.BigInteger(), nullable=True),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("destruction_ms", sa.BigInteger(), nullable=False),
        sa.Column("gone_ms", sa.BigInteger(), nullable=True),
        sa.Column("quote_ms", sa.BigInteger(), nullable=True),
        sa.Column("execution_duration_s", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("fault", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("total", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("empty", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("poison", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("event_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index("ix_job_destruction", ["destruction_ms"], unique=False)
        batch_op.create_index(
            "ix_job_gone", ["gone_ms"], unique=False, sqlite_where=GONE, postgresql_where=GONE
        )
        batch_op.create_index("ix_job_owner_created", ["owner", "created_ms", "job_id"], unique=False)
        batch_op.create_index(
            "ix_job_runnable",
            ["job_id"],
            unique=False,
            sqlite_where=RUNNABLE,
            postgresql_where=RUNNABLE,
        )

    op.create_table(
        "notice",
        sa.Column("notice_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("dedupe", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", name=op.f("pk_notice")),
        sa.UniqueConstraint("dedupe", name=op.f("uq_notice_dedupe")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index(
            "ix_notice_unsent",
            ["not_before_ms"],
            unique=False,
            sqlite_where=UNSENT,
            postgresql_where=UNSENT,
        )

    op.create_table(
        "tally",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name=op.f("pk_tally")),
    )
    op.create_table(
        "worker",
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("lanes", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker")),
    )
    op.create_table(
        "event",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.job_id"], name=op.f("fk_event_job_id_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("pk_event")),
    )
    op.create_table(
        "result",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("result_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("crc32", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("visibility", sa.Text(), server_default="owner", nullable=False),
        sa.Column("approval", sa.Text(), server_default="", nullable=False),
        sa.Column("hold_until_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.job_id"], name=op.f("fk_result_job_id_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "row", "part", name=op.f("pk_result")),
        sa.UniqueConstraint("job_id", "result_id", name=op.f("uq_result_job_id_result_id")),
    )
    op.create_table(
        "task",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rows", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("kills", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("worker_id", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.job_id"], name=op.f("fk_task_job_id_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_task")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index("ix_task_job", ["job_id", "n"], unique=False)
        batch_op.create_index(
            "ix_task_queued",
            ["job_id", "lane", "n"],
            unique=False,
            sqlite_where=QUEUED,
            postgresql_where=QUEUED,
        )
        batch_op.create_index(
            "ix_task_running",
            ["owner"],
            unique=False,
            sqlite_where=RUNNING,
            postgresql_where=RUNNING,
        )


def downgrade() -> None:
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_task_running",
            sqlite_where=RUNNING,
            postgresql_where=RUNNING,
        )
        batch_op.drop_index(
            "ix_task_queued",
            sqlite_where=QUEUED,
            postgresql_where=QUEUED,
        )
        batch_op.drop_index("ix_task_job")

    op.drop_table("task")
    op.drop_table("result")
    op.drop_table("event")
    op.drop_table("worker")
    op.drop_table("tally")
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_notice_unsent",
            sqlite_where=UNSENT,
            postgresql_where=UNSENT,
        )

    op.drop_table("notice")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_job_runnable",
            sqlite_where=RUNNABLE,
            postgresql_where=RUNNABLE,
        )
        batch_op.drop_index("ix_job_owner_created")
        batch_op.drop_index("ix_job_gone", sqlite_where=GONE, postgresql_where=GONE)
        batch_op.drop_index("ix_job_destruction")

    op.drop_table("job")
