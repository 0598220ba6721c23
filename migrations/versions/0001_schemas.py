"""stack: a schema and a role for each service, so that grants can say who owns what"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERVICES = ("gateway", "generator", "judge", "analytics")


def upgrade() -> None:
    """Roles belong to the whole server: another database of it may have made them already."""
    for service in SERVICES:
        role = f"esrp_{service}"
        op.execute(
            f"""DO $$ BEGIN CREATE ROLE {role} LOGIN;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"""
        )
        op.execute(f"GRANT {role} TO CURRENT_USER")
        op.execute(f"CREATE SCHEMA {service}")
        op.execute(f"GRANT USAGE ON SCHEMA {service} TO {role}")
        op.execute(f"GRANT SELECT ON public.alembic_version TO {role}")


def downgrade() -> None:
    """The roles stay: another database may use them."""
    for service in SERVICES:
        op.execute(f"DROP SCHEMA {service} CASCADE")
