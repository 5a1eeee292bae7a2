"""Which services of a host are looked at, by what the inventory names, and what is told to mend them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.irctl.runbooks.plugins.modules import host_services

NOTHING = {name: spec.get("default") for name, spec in host_services.ARGUMENTS.items()}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, []),
        ({"postgres_port": 5433}, ["PostgreSQL"]),
        ({"redis_port": 6380}, ["Redis"]),
        ({"aws_profile": "prod"}, ["AWS"]),
        ({"block_ip_backend": "wafv2"}, ["AWS"]),
        ({"block_ip_backend": "nginx"}, ["nginx"]),
        ({"block_ip_backend": "nftables"}, []),
        ({"archive_evidence_bucket": "evidence", "aws_region": "eu-west-1"}, ["AWS", "S3"]),
    ],
)
def test_a_service_is_looked_at_where_the_inventory_names_it(given: dict[str, Any], names: list[str]) -> None:
    assert [name for name, _ in host_services.named(NOTHING | given)] == names


@pytest.mark.parametrize(
    ("name", "given", "command"),
    [
        ("PostgreSQL", {"postgres_host": "db1", "postgres_user": "ops"}, "psql -h db1 -U ops -d postgres"),
        ("Redis", {"redis_host": "r1", "redis_username": "ops"}, "redis-cli -h r1 -p 6379 --user ops ping"),
        ("AWS", {"aws_profile": "prod"}, "aws sts get-caller-identity --profile prod"),
        ("S3", {"archive_evidence_bucket": "evidence"}, "aws s3api head-bucket --bucket evidence"),
        ("nginx", {"edge_nginx_test": ["nginx", "-t", "-c", "/etc/n.conf"]}, "nginx -t -c /etc/n.conf"),
    ],
)
def test_what_mends_it_is_a_command(name: str, given: dict[str, Any], command: str) -> None:
    assert host_services.command(name, NOTHING | given) == command


def test_what_does_not_answer_is_a_finding_and_no_failure() -> None:
    given = {
        "postgres_host": "127.0.0.1",
        "postgres_port": 1,
        "redis_port": 1,
        "archive_evidence_bucket": "evidence",
        "aws_endpoint": "ftp://x",
    }
    findings = host_services.run(NOTHING | given, False)["findings"]
    assert [finding["level"] for finding in findings] == ["problem"] * 4
    assert all(finding["next"] for finding in findings)


def test_a_configuration_that_nginx_refuses_is_told() -> None:
    given = {"block_ip_backend": "nginx", "edge_nginx_test": ["false"]}
    assert host_services.run(NOTHING | given, False)["findings"][0]["level"] == "problem"
