#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Appends to a mounted log from a shell: examples/append.sh MOUNTPOINT
set -eu
mnt=${1:?usage: append.sh MOUNTPOINT}

# While nothing is mounted there, the shell would make `current` as a plain file.
mountpoint -q "$mnt" || {
	echo "append.sh: no log is mounted on $mnt" >&2
	exit 1
}

# Each line is an event. Several programs may write at once: their lines do not mix.
echo 'order 17 filled' >>"$mnt/current"
for order in 18 19 20; do
	echo "order $order filled" >>"$mnt/current" &
done
wait

# The lines outlive the daemon already. After this they outlive a power loss, too.
sync "$mnt/current"
