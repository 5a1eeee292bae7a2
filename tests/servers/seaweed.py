"""SeaweedFS: a real S3 store with versions and Object Lock that looks at checksums, as one process on loopback."""

from __future__ import annotations

import json
import sysconfig
from contextlib import suppress
from pathlib import Path

from tests.servers import processes

PROGRAM = Path(sysconfig.get_path("scripts")) / "weed"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI-EXAMPLE"}
PORTS = tuple(f"{part}.port{grpc}" for part in ("master", "volume", "filer", "s3") for grpc in ("", ".grpc"))
# One small volume for a bucket, as many as there are buckets: "0" would be as many as fit in what the disk has free, and fewer than
# a whole run of the tests makes. Nothing is told to the makers, and nothing served but S3.
SETTINGS = {
    "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": ".", "volume.max": "10000", "volume.minFreeSpace": "64MiB",
    "master.volumeSizeLimitMB": "1024",
    "master.telemetry": "false", "s3": "true", "s3.config": "s3.json", "s3.iam": "false",
    "s3.port.iceberg": "0", "s3.port.lance": "0", "filer.localSocket": "filer.sock", "s3.localSocket": "s3.sock",
}  # fmt: skip
GROWTH = "[master.volume_growth]\ncopy_1 = 1\n"
ATTEMPTS = 3  # somebody else may have taken one of the ports


def start(folder: Path) -> str:
    """Start a server that keeps everything below `folder`, wait until it takes objects, and give its address."""
    for _ in range(ATTEMPTS - 1):
        with suppress(processes.NotStarted):
            return _start(folder)
    return _start(folder)


def _start(folder: Path) -> str:
    identity = {"accessKey": KEYS["aws_access_key_id"], "secretKey": KEYS["aws_secret_access_key"]}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    (folder / "s3.json").write_text(json.dumps({"identities": [{"name": "tests", "credentials": [identity], "actions": actions}]}))
    (folder / "master.toml").write_text(GROWTH)
    ports = dict(zip(PORTS, processes.free_ports(len(PORTS)), strict=True))
    (folder / "ports").write_text(" ".join(ports.values()))
    words = [f"-{name}={value}" for name, value in {**SETTINGS, **ports}.items()]
    url = f"http://127.0.0.1:{ports['s3.port']}"
    process = processes.start(folder, [PROGRAM, "server", *words])
    try:
        processes.wait_for(process, f"{url}/healthz", folder / "log")
        processes.wait_for(process, f"http://127.0.0.1:{ports['master.port']}/dir/assign", folder / "log", error=b'"error"')
    except BaseException:
        stop(folder)
        raise
    return url


def stop(folder: Path) -> None:
    """End the server of a folder, if there is one, and remove what it leaves outside of it."""
    processes.stop(folder)
    ports = (folder / "ports").read_text().split() if (folder / "ports").exists() else []
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
            left.unlink()
