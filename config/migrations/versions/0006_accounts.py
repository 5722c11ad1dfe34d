"""Accounts, tokens, sessions, quotas, records of what was made; and what jobs have to know of them.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HAS_FAILED = sa.text("status IN ('failed', 'poison')")
HAS_WISHES = sa.text("notify IS NOT NULL")
IS_OPEN = sa.text("sent_ms IS NULL AND given_up_ms IS NULL")
UNSENT = sa.text("sent_ms IS NULL")


def upgrade() -> None:
    op.create_table(
        "lane",
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("paused_ms", sa.BigInteger(), nullable=True),
        sa.Column("account", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_lane")),
    )
    op.create_table(
        "account",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="person", nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="user", nullable=False),
        sa.Column("groups", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("may_act", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("wishes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account")),
    )
    op.create_table(
        "announcement",
        sa.Column("announcement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), server_default="note", nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("account", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("announcement_id", name=op.f("pk_announcement")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_at", "audit", ["at_ms"], unique=False)
    op.create_table(
        "execution",
        sa.Column("execution_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), server_default="", nullable=False),
        sa.Column("cutouts", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("images", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("wait_s", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_execution")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_execution_at", "execution", ["at_ms"], unique=False)
    op.create_table(
        "failure",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_failure")),
    )
    op.create_table(
        "quota_limit",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("account", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("subject", "kind", name=op.f("pk_quota_limit")),
    )
    op.create_table(
        "quota_use",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("used", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reserved", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("subject", "kind", "day", name=op.f("pk_quota_use")),
    )
    op.create_table(
        "reservation",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "subject", "kind", name=op.f("pk_reservation")),
    )
    op.create_index("ix_reservation_subject", "reservation", ["subject", "state"], unique=False)
    op.create_table(
        "session",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("proved_ms", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_session")),
    )
    op.create_index("ix_session_account", "session", ["account"], unique=False)
    op.create_index("ix_session_seen", "session", ["seen_ms"], unique=False)
    op.create_table(
        "member",
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["account.name"], name=op.f("fk_member_account_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_name", "account", name=op.f("pk_member")),
    )
    op.create_index("ix_member_account", "member", ["account"], unique=False)
    op.create_table(
        "token",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["account.name"], name=op.f("fk_token_account_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_token_sha256")),
    )
    op.create_index("ix_token_account", "token", ["account"], unique=False)
    op.add_column("job", sa.Column("actor", sa.Text(), server_default="", nullable=False))
    op.add_column("job", sa.Column("parallel", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("job", sa.Column("shared_with", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("job", sa.Column("sources", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("job", sa.Column("notify", sa.JSON(none_as_null=True), nullable=True))
    op.create_index(
        "ix_job_notify",
        "job",
        ["ended_ms"],
        unique=False,
        sqlite_where=HAS_WISHES,
        postgresql_where=HAS_WISHES,
    )
    op.add_column("notice", sa.Column("event", sa.Text(), server_default="", nullable=False))
    op.add_column("notice", sa.Column("handed_ms", sa.BigInteger(), nullable=True))
    op.add_column("notice", sa.Column("given_up_ms", sa.BigInteger(), nullable=True))
    op.add_column("notice", sa.Column("note", sa.Text(), server_default="", nullable=False))
    op.drop_index("ix_notice_unsent", table_name="notice")
    op.create_index(
        "ix_notice_open",
        "notice",
        ["not_before_ms"],
        unique=False,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )
    op.create_index("ix_notice_job", "notice", ["job_id", "event"], unique=False)
    op.add_column("worker", sa.Column("memory_bytes", sa.BigInteger(), nullable=True))
    op.add_column("worker", sa.Column("task_id", sa.BigInteger(), nullable=True))
    op.add_column("worker", sa.Column("wanted", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_job_created", "job", ["created_ms", "job_id"], unique=False)
    op.create_index(
        "ix_result_failed",
        "result",
        ["created_ms"],
        unique=False,
        sqlite_where=HAS_FAILED,
        postgresql_where=HAS_FAILED,
    )


def downgrade() -> None:
    op.drop_index(
        "ix_result_failed", table_name="result", sqlite_where=HAS_FAILED, postgresql_where=HAS_FAILED
    )
    op.drop_index("ix_job_created", table_name="job")
    op.drop_column("worker", "wanted")
    op.drop_column("worker", "task_id")
    op.drop_column("worker", "memory_bytes")
    op.drop_index("ix_notice_job", table_name="notice")
    op.drop_index("ix_notice_open", table_name="notice")
    op.drop_column("notice", "note")
    op.drop_column("notice", "given_up_ms")
    op.drop_column("notice", "handed_ms")
    op.drop_column("notice", "event")
    op.create_index(
        "ix_notice_unsent",
        "notice",
        ["not_before_ms"],
        unique=False,
        sqlite_where=UNSENT,
        postgresql_where=UNSENT,
    )
    op.drop_index("ix_job_notify", table_name="job")
    op.drop_column("job", "notify")
    op.drop_column("job", "sources")
    op.drop_column("job", "shared_with")
    op.drop_column("job", "parallel")
    op.drop_column("job", "actor")
    op.drop_index("ix_token_account", table_name="token")
    op.drop_table("token")
    op.drop_index("ix_member_account", table_name="member")
    op.drop_table("member")
    op.drop_index("ix_session_seen", table_name="session")
    op.drop_index("ix_session_account", table_name="session")
    op.drop_table("session")
    op.drop_index("ix_reservation_subject", table_name="reservation")
    op.drop_table("reservation")
    op.drop_table("quota_use")
    op.drop_table("quota_limit")
    op.drop_table("failure")
    op.drop_index("ix_execution_at", table_name="execution")
    op.drop_table("execution")
    op.drop_index("ix_audit_at", table_name="audit")
    op.drop_table("audit")
    op.drop_table("announcement")
    op.drop_table("account")
    op.drop_table("lane")
