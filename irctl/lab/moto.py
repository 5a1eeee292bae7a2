"""The process that is the lab's AWS: `lab_moto.py FOLDER` serves an account that drills can work on, until FOLDER is gone.

It takes a free port and tells it in FOLDER/url when all is there. Nothing of irctl is imported.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

URL, PID = "url", "pid"
REGION = "eu-central-1"
SCOPE = "REGIONAL"
SETS = {"IPV4": "blocked-v4", "IPV6": "blocked-v6"}
WEB_ACL, RULE = "shop", "blocked"
BUCKET = "evidence"  # with Object Lock
LOOK = 2.0  # seconds between two looks whether the lab is still there


def main(folder: Path) -> None:
    """Serve until the folder is gone, or belongs to another process."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    furnish(url)
    told = folder / f"{URL}.new"
    told.write_text(url)
    told.rename(folder / URL)
    while _is_ours(folder / PID):
        time.sleep(LOOK)


def _is_ours(path: Path) -> bool:
    try:
        return path.read_text() == str(os.getpid())
    except OSError:
        return False


def furnish(url: str) -> None:
    """Make what drills need: IP sets with a rule that blocks what is in them, and a bucket whose objects can be locked."""
    waf, store = (_client(service, url) for service in ("wafv2", "s3"))
    seen = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": RULE}
    made = [waf.create_ip_set(Name=name, Scope=SCOPE, IPAddressVersion=kind, Addresses=[]) for kind, name in SETS.items()]
    named = [{"IPSetReferenceStatement": {"ARN": one["Summary"]["ARN"]}} for one in made]
    rule = {
        "Name": RULE,
        "Priority": 0,
        "Statement": {"OrStatement": {"Statements": named}},
        "Action": {"Block": {}},
        "VisibilityConfig": seen,
    }
    waf.create_web_acl(Name=WEB_ACL, Scope=SCOPE, DefaultAction={"Allow": {}}, Rules=[rule], VisibilityConfig=seen)
    where = {"LocationConstraint": REGION}
    store.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True, CreateBucketConfiguration=where)


def _client(service: str, url: str) -> Any:
    import boto3

    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="irctl-lab", aws_secret_access_key="irctl-lab"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
