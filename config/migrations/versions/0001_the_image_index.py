"""The image index.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cell",
        sa.Column("survey_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dataset_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("survey_id", "level", "start", "dataset_id", name=op.f("pk_cell")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("cell", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_cell_dataset_id"), ["dataset_id"], unique=False)

    op.create_table(
        "survey",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("last_modified", sa.DateTime(), nullable=False),
        sa.Column("declaration", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_survey")),
        sa.UniqueConstraint("name", name=op.f("uq_survey_name")),
    )
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("survey_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("key_lower", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("tile", sa.Text(), nullable=False),
        sa.Column("preference", sa.Text(), nullable=False),
        sa.Column("cover", sa.LargeBinary(), nullable=True),
        sa.Column("s_ra", sa.Double(), nullable=True),
        sa.Column("s_dec", sa.Double(), nullable=True),
        sa.Column("s_fov", sa.Double(), nullable=True),
        sa.Column("s_region", sa.Text(), nullable=True),
        sa.Column("s_xel1", sa.Integer(), nullable=True),
        sa.Column("s_xel2", sa.Integer(), nullable=True),
        sa.Column("s_pixel_scale_deg", sa.Double(), nullable=True),
        sa.Column("t_min", sa.Double(), nullable=True),
        sa.Column("t_max", sa.Double(), nullable=True),
        sa.Column("t_exptime", sa.Double(), nullable=True),
        sa.Column("em_min", sa.Double(), nullable=True),
        sa.Column("em_max", sa.Double(), nullable=True),
        sa.Column("pol_states", sa.Text(), nullable=False),
        sa.Column("calib_level", sa.Integer(), nullable=False),
        sa.Column("obs_release_date", sa.DateTime(), nullable=True),
        sa.Column("expires", sa.DateTime(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("gen_from", sa.Integer(), nullable=False),
        sa.Column("gen_to", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["survey_id"], ["survey.id"], name=op.f("fk_dataset_survey_id_survey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
        sa.UniqueConstraint(
            "survey_id", "key_lower", "gen_to", name=op.f("uq_dataset_survey_id_key_lower_gen_to")
        ),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_dataset_survey_id_band_tile_gen_to"),
            ["survey_id", "band", "tile", "gen_to"],
            unique=False,
        )

    op.create_table(
        "file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("survey_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("gen_from", sa.Integer(), nullable=False),
        sa.Column("gen_to", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["survey_id"], ["survey.id"], name=op.f("fk_file_survey_id_survey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        sa.UniqueConstraint("survey_id", "path", "gen_to", name=op.f("uq_file_survey_id_path_gen_to")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("file", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_file_survey_id_gen_to"), ["survey_id", "gen_to"], unique=False)

    op.create_table(
        "generation",
        sa.Column("survey_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("published", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["survey_id"], ["survey.id"], name=op.f("fk_generation_survey_id_survey")),
        sa.PrimaryKeyConstraint("survey_id", "number", name=op.f("pk_generation")),
    )
    op.create_table(
        "header",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("survey_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("deflated", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["survey_id"], ["survey.id"], name=op.f("fk_header_survey_id_survey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_header")),
        sa.UniqueConstraint("survey_id", "digest", name=op.f("uq_header_survey_id_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("survey_id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("hdu", sa.Integer(), nullable=False),
        sa.Column("extname", sa.Text(), nullable=False),
        sa.Column("storage", sa.Text(), nullable=False),
        sa.Column("data_offset", sa.BigInteger(), nullable=False),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("x_axis", sa.Integer(), nullable=False),
        sa.Column("y_axis", sa.Integer(), nullable=False),
        sa.Column("bitpix", sa.Integer(), nullable=False),
        sa.Column("bscale", sa.Double(), nullable=False),
        sa.Column("bzero", sa.Double(), nullable=False),
        sa.Column("blank", sa.BigInteger(), nullable=True),
        sa.Column("wcs_text", sa.Text(), nullable=False),
        sa.Column("header_id", sa.Integer(), nullable=False),
        sa.Column("ztiles", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("indexed_at", sa.DateTime(), nullable=False),
        sa.Column("gen_from", sa.Integer(), nullable=False),
        sa.Column("gen_to", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_artifact_dataset_id_dataset")),
        sa.ForeignKeyConstraint(["file_id"], ["file.id"], name=op.f("fk_artifact_file_id_file")),
        sa.ForeignKeyConstraint(["header_id"], ["header.id"], name=op.f("fk_artifact_header_id_header")),
        sa.ForeignKeyConstraint(["survey_id"], ["survey.id"], name=op.f("fk_artifact_survey_id_survey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("artifact", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_artifact_dataset_id"), ["dataset_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifact_file_id"), ["file_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifact_header_id"), ["header_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifact_survey_id_link"), ["survey_id", "link"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("artifact", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_artifact_survey_id_link"))
        batch_op.drop_index(batch_op.f("ix_artifact_header_id"))
        batch_op.drop_index(batch_op.f("ix_artifact_file_id"))
        batch_op.drop_index(batch_op.f("ix_artifact_dataset_id"))

    op.drop_table("artifact")
    op.drop_table("header")
    op.drop_table("generation")
    with op.batch_alter_table("file", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_file_survey_id_gen_to"))

    op.drop_table("file")
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dataset_survey_id_band_tile_gen_to"))

    op.drop_table("dataset")
    op.drop_table("survey")
    with op.batch_alter_table("cell", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_cell_dataset_id"))

    op.drop_table("cell")
