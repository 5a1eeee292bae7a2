#!/usr/bin/python
# GNU General Public License v3.0 or later (see LICENSE)
"""Reach the services that the inventory names for a host, as a run would, and say what keeps one from answering."""

from __future__ import annotations

DOCUMENTATION = """
module: host_services
short_description: Reach the services of a host as a run would
description:
  - Connects to PostgreSQL and Redis, asks AWS who it is, looks at the bucket for evidence, and lets nginx test its configuration;
    each only where the inventory names it for the host. Changes nothing and fails nowhere.
  - Own module, because each of these is reached by the settings and the code that the remediations use.
options:
  edge_nginx_test:
    description: The command that tests the configuration of nginx.
    type: list
    elements: str
    default: [nginx, -t]
  block_ip_backend:
    description: What kind of place blocks.
    type: str
    choices: [wafv2, nacl, nftables, nginx]
  archive_evidence_bucket:
    description: The bucket.
    type: str
    default: ''
extends_documentation_fragment: [irctl.runbooks.postgres, irctl.runbooks.redis, irctl.runbooks.aws]
author: irctl contributors (@irctl)
"""
EXAMPLES = """
- name: Its PostgreSQL answers
  irctl.runbooks.host_services:
    postgres_host: 127.0.0.1
    postgres_user: ops
"""
RETURN = """
findings:
  description: What was reached or not, each with its level, what it says, and the command that mends it.
  returned: always
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.irctl.runbooks.plugins.module_utils import programs
from ansible_collections.irctl.runbooks.plugins.module_utils.arguments import archive_evidence, aws, block_ip, edge, postgres, redis
from ansible_collections.irctl.runbooks.plugins.module_utils.errors import Failure

SHARED = ("postgres_", "redis_", "aws_", "edge_", "block_ip_", "archive_evidence_")
PARAMETERS: dict[str, Any] = {
    **postgres.ARGUMENTS,
    **redis.ARGUMENTS,
    **aws.ARGUMENTS,
    "edge_nginx_test": edge.ARGUMENTS["edge_nginx_test"],
    "block_ip_backend": block_ip.MAIN["backend"],
    "archive_evidence_bucket": archive_evidence.MAIN["bucket"],
}
ARGUMENTS = PARAMETERS
FOUND_WITHOUT = ("postgres_dbname", "postgres_protected_users", "postgres_protected_applications")  # that have a default

Params = dict[str, Any]
Finding = dict[str, str]


def run(params: Params, check_mode: bool) -> dict[str, Any]:
    """Reach each service that is named; the same in check mode. Raises nothing that a service may be at fault for."""
    return {"changed": False, "findings": [_finding(name, look, params) for name, look in named(params)]}


def named(params: Params) -> Iterator[tuple[str, Callable[[Params], str]]]:
    """The services that the settings name, and how each is looked at. Pure."""
    if any(params[name] for name in postgres.ARGUMENTS if name not in FOUND_WITHOUT):
        yield "PostgreSQL", _postgres
    if any(params[name] != PARAMETERS[name].get("default") for name in redis.ARGUMENTS):
        yield "Redis", _redis
    if params["block_ip_backend"] in ("wafv2", "nacl") or any(params[name] for name in aws.ARGUMENTS):
        yield "AWS", _identity
    if params["archive_evidence_bucket"]:
        yield "S3", _bucket
    if params["block_ip_backend"] == "nginx":
        yield "nginx", _nginx


def _finding(name: str, look: Callable[[Params], str], params: Params) -> Finding:
    try:
        return {"level": "fine", "says": f"{name}: {look(params)}", "next": ""}
    except (Failure, ValueError) as error:
        return {"level": "problem", "says": f"{name}: {error}", "next": command(name, params)}


def command(name: str, params: Params) -> str:
    """What shows, or mends, why a service does not answer. Pure."""
    if name == "PostgreSQL":
        flags = (("h", "host"), ("p", "port"), ("U", "user"), ("d", "dbname"))
        return " ".join(["psql", *(f"-{flag} {value}" for flag, key in flags if (value := params[f"postgres_{key}"]))])
    if name == "Redis":
        words = {"-h": "redis_host", "-p": "redis_port", "--user": "redis_username"}
        return " ".join(["redis-cli", *(f"{word} {value}" for word, key in words.items() if (value := params[key])), "ping"])
    if name == "nginx":
        return " ".join(params["edge_nginx_test"])
    where = f" --endpoint-url {params['aws_endpoint']}" if params["aws_endpoint"] else ""
    where += f" --profile {params['aws_profile']}" if params["aws_profile"] else ""
    if name == "S3":
        return f"aws s3api head-bucket --bucket {params['archive_evidence_bucket']}{where}"
    return f"aws sts get-caller-identity{where}"


def _postgres(params: Params) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils.postgres.client import connect

    with connect(params) as server:
        version, user = server.ask("SELECT json_build_array(current_setting('server_version'), current_user) WHERE $1 <> ''", {})
    return f"{version}, as {user}"


def _redis(params: Params) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils.redis import keyspace

    with keyspace.opened(params) as opened:
        user, refusal = keyspace.who_am_i(opened.servers[0])
        return f"{opened.title}, as {user}" if user else f"{opened.title}, and as whom cannot be asked ({refusal})"


def _identity(params: Params) -> str:
    """Who AWS takes the caller for; of a stand-in only that there are credentials, because not each has that service."""
    from ansible_collections.irctl.runbooks.plugins.module_utils.aws import clients

    own = _of_aws(params)
    _credentials, region, endpoint = clients.identity(own)
    if endpoint:
        return f"there are credentials for {endpoint}"
    client = clients.client("sts", own)
    with clients.said("the caller's identity"):
        return f"{client.get_caller_identity()['Arn']} in {region or client.meta.region_name}"


def _bucket(params: Params) -> str:
    from ansible_collections.irctl.runbooks.plugins.module_utils.archive.object_store import open_store

    store = open_store(params["archive_evidence_bucket"], _of_aws(params))
    return f"the bucket {store.name} answers, {'with' if store.has_object_lock else 'without'} Object Lock"


def _of_aws(params: Params) -> Params:
    return {name.removeprefix("aws_"): params[name] for name in aws.ARGUMENTS}


def _nginx(params: Params) -> str:
    programs.output(params["edge_nginx_test"])
    return "its configuration is in order"


def main() -> None:
    from ansible_collections.irctl.runbooks.plugins.module_utils.module import start

    start(ARGUMENTS, run)


if __name__ == "__main__":
    main()
