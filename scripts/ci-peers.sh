#!/usr/bin/env bash
# Installs the programs that the tests compare with (test/support/peers.ts looks for them). Needs root and Debian bookworm or later.
#
#   scripts/ci-peers.sh [system|chroot|kernel|cfsctl]...     without arguments: all of them, in this order
#
# system  Debian packages, on this machine
# chroot  a minimal Debian with a current ostree, composefs and flatpak: bookworm's own are too old
# kernel  a kernel with fs-verity and a static busybox, unpacked and not installed, for the virtual machine of test/vm
# cfsctl  the Rust reference implementation, built from its crate
#
# All but the first go to a cache outside the tree. What is there and works is left as it is. Mirror and keyring are those of
# this machine's own apt sources.
set -euo pipefail

readonly PEERS="${XDG_CACHE_HOME:-/var/cache}/cfs-ostree-peers"
readonly CHROOT_SUITE=forky KERNEL_SUITE=trixie CFSCTL_VERSION=0.9.4
readonly PACKAGES=(
  ca-certificates curl openssl attr acl strace e2fsprogs # e2fsprogs: mke2fs, debugfs
  nginx-light fsverity erofs-utils chromium
  mmdebstrap debian-archive-keyring xz-utils             # chroot, kernel
  qemu-system-x86
  pkg-config libssl-dev libzstd-dev                      # cfsctl
)
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

say() { printf 'peers: %s\n' "$*" >&2; }

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_system() {
  local package missing=()
  for package in "${PACKAGES[@]}"; do is_installed "$package" || missing+=("$package"); done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  say "installing ${missing[*]}"
  apt-get update -qq
  # a package's daemon must not start: the tests run their own
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap "rm -f $policy" EXIT
  fi
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Debian's archive among this machine's apt sources: sets `mirror` and `keyring`.
find_debian() {
  local fields entry file line
  fields='$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(SOURCESENTRY)'
  indexed() { apt-get indextargets --format "$fields" 'Created-By: Packages' 'Component: main' | grep -m1 '|Debian|Debian|'; }
  # origin and label are known once the lists have been fetched
  entry=$(indexed) || { apt-get update -qq; entry=$(indexed); } || { say 'no apt source of Debian itself'; return 1; }
  mirror=${entry%%|*}
  # the entry is FILE:N, N the line in the one-line format or the number of the stanza in the deb822 one
  file=${entry##*|} line=${file##*:} file=${file%:*}
  case $file in
    *.sources) keyring=$(awk -v RS= -v n="$line" 'NR == n' "$file" | sed -n 's/^Signed-By:[[:space:]]*//Ip') ;;
    *) keyring=$(sed -n "${line}s/.*signed-by=\([^] ]*\).*/\1/p" "$file") ;;
  esac
  # an apt that cannot say it, no Signed-By, or a key in the sources file itself: the keyring that Debian installs
  [ -r "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
}

chroot_works() {
  local root=$PEERS/$CHROOT_SUITE
  [ -x "$root/usr/bin/mkcomposefs" ] && [ -x "$root/usr/bin/flatpak" ] && chroot "$root" ostree --version >/dev/null 2>&1
}

install_chroot() {
  if chroot_works; then return; fi
  find_debian
  local root=$PEERS/$CHROOT_SUITE
  say "making a chroot of $CHROOT_SUITE in $root"
  mkdir -p "$PEERS"
  rm -rf --one-file-system "$root" "$root.new"
  mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --keyring="$keyring" \
    --include=ostree,composefs,flatpak "$CHROOT_SUITE" "$root.new" "$mirror" >&2
  mv "$root.new" "$root"
  chroot_works
}

kernel_works() {
  local folder=$PEERS/kernel
  [ -s "$folder/vmlinuz" ] && [ -n "$(find "$folder/modules" -name erofs.ko 2>/dev/null)" ] && "$folder/busybox" true 2>/dev/null
}

install_kernel() {
  if kernel_works; then return; fi
  find_debian
  local folder=$PEERS/kernel scratch
  say "unpacking a kernel of $KERNEL_SUITE in $folder"
  scratch=$(mktemp -d)
  ( # an apt of its own: the suite is none of this machine's
    trap 'rm -rf "$scratch"' EXIT
    cd "$scratch"
    mkdir -p lists/partial cache/archives/partial root
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$KERNEL_SUITE" >sources.list
    cat >apt.conf <<CONF
Dir::State::Lists "$scratch/lists"; Dir::State::Status "/dev/null"; Dir::Cache "$scratch/cache";
Dir::Etc::SourceList "$scratch/sources.list"; Dir::Etc::SourceParts "/dev/null"; Dir::Etc::Preferences "/dev/null"; Dir::Etc::PreferencesParts "/dev/null";
Acquire::Check-Valid-Until "false"; APT::Sandbox::User "root";
CONF
    export APT_CONFIG=$scratch/apt.conf
    apt-get update -qq
    # the metapackage depends on the package of the newest version
    image=$(apt-cache depends --important linux-image-cloud-amd64 | sed -n 's/^ *Depends: *//p' | head -1)
    apt-get download -qq "$image" busybox-static
    for package in *.deb; do dpkg-deb -x "$package" root; done
    rm -rf "$folder" "$folder.new"
    mkdir -p "$folder.new"
    mv root/boot/vmlinuz-* "$folder.new/vmlinuz"
    mv root/boot/config-* "$folder.new/config"
    # merged /usr or not
    mv "$(find root -path '*/lib/modules/*' -prune -type d | head -1)" "$folder.new/modules"
    find "$folder.new/modules" -name '*.ko.xz' -exec xz -d {} +
    mv "$(find root -path '*bin/busybox' | head -1)" "$folder.new/busybox"
    mv "$folder.new" "$folder"
  )
  kernel_works
}

cfsctl_works() { "$PEERS/cfsctl/bin/cfsctl" --version 2>/dev/null | grep -qF "$CFSCTL_VERSION"; }

install_cfsctl() {
  if cfsctl_works; then return; fi
  say "building composefs-ctl $CFSCTL_VERSION"
  mkdir -p "$PEERS"
  PATH="$PATH:$HOME/.cargo/bin" cargo install --quiet --locked --force composefs-ctl --version "$CFSCTL_VERSION" --root "$PEERS/cfsctl" >&2
  cfsctl_works
}

[ $# -gt 0 ] || set -- system chroot kernel cfsctl
for part; do "install_$part"; done
