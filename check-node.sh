#!/bin/sh
# After npm ci: does the Node that the scripts run on start here? Its builds need libatomic, which a minimal system may lack.
set -eu
node=node_modules/.bin/node
if [ ! -e "$node" ] || "$node" --version >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "set-up: installing libatomic1, which Node needs" >&2
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libatomic1 >&2
fi
if ! "$node" --version >/dev/null; then
  echo "The Node of this project does not start here. Install what the line above names (on Debian: apt-get install libatomic1), then: npm ci" >&2
  exit 1
fi
