"""What happened since a moment is found; and links by which jobs are seen.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_event_at", "event", ["at_ms"], unique=False)
    op.add_column("job", sa.Column("link_sha256", sa.Text(), nullable=True))
    op.add_column("job", sa.Column("link_until_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "link_until_ms")
    op.drop_column("job", "link_sha256")
    op.drop_index("ix_event_at", "event")
