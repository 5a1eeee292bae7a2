"""irctl doctor --host on the lab: what answers, and what does not."""

from __future__ import annotations

from tests.conftest import Irctl


def test_a_database_that_answers_is_told_and_one_that_does_not_names_the_command(irctl: Irctl) -> None:
    fine = irctl("doctor", "--host", "lab")
    assert (fine.code, "ok  lab  PostgreSQL: " in fine.out) == (0, True), fine
    text = irctl.inventory.read_text()
    irctl.inventory.write_text(text.replace("postgres_user: ops", "postgres_user: nobody\n      archive_evidence_bucket: nosuch"))
    done = irctl("doctor", "--host", "lab")
    assert done.code == 1
    assert "missing  lab  PostgreSQL: " in done.out
    assert "psql -h 127.0.0.1 -p " in done.out
    assert "aws s3api head-bucket --bucket nosuch" in " ".join(done.out.split())
