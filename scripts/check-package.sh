#!/usr/bin/env bash
# The package as a user gets it: packed, installed into an empty directory with the tree's Node, its demo run from there.
# Needs the tree set up (scripts/setup.js). The machine's own Node may be too old for it: then it must say so in one line.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tree_node=$root/node_modules/node/node_modules/node-$(node -p 'process.platform + "-" + process.arch')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { printf 'package: %s\n' "$*" >&2; exit 1; }
with_tree_node() { PATH="$tree_node/bin:$PATH" npm_config_nodedir="$tree_node" "$@"; }

cd "$root"
npm pack --silent --pack-destination "$work" >/dev/null
tarball=$(echo "$work"/*.tgz)
surplus=$(tar -tzf "$tarball" | grep -E '^package/(test|bench|src|\.ci|node_modules)/' || true)
[ -z "$surplus" ] || fail "does not belong into the package: $surplus"

mkdir "$work/app"
cd "$work/app"
with_tree_node npm install --no-audit --no-fund "$tarball"
cfs_ostree=node_modules/.bin/cfs-ostree

with_tree_node node --input-type=module -e "
  const { openRepository, pull } = await import('cfs-ostree');
  const formats = await import('cfs-ostree/formats');
  if (typeof openRepository !== 'function' || typeof pull !== 'function') throw new Error('openRepository or pull is missing');
  if (Object.keys(formats).length === 0) throw new Error('cfs-ostree/formats exports nothing');
"
[ "$(find node_modules/cfs-ostree/native -name '*.node')" ] || fail 'the addon was not built'
with_tree_node "$cfs_ostree" demo </dev/null

own_node=$(node --version)
if [ "$(printf '%s\n' v22.19.0 "$own_node" | sort -V | head -1)" = v22.19.0 ]; then
  echo "package: this machine's Node is $own_node: that an older one is refused could not be seen"
  exit 0
fi
status=0
"$cfs_ostree" --version >stdout 2>stderr </dev/null || status=$?
[ $status = 2 ] && [ ! -s stdout ] && [ "$(wc -l <stderr)" = 1 ] ||
  fail "under Node $own_node: exit status $status instead of 2 and one line: $(cat stdout stderr)"
echo "package: under Node $own_node: $(cat stderr)"
