#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Appends to a mounted log from a shell: examples/append.sh MOUNTPOINT
set -eu
mnt=${1:?usage: append.sh MOUNTPOINT}

# While nothing is mounted there, `current` would be made as a plain file.
mountpoint -q "$mnt" || {
	echo "append.sh: no log is mounted on $mnt" >&2
	exit 1
}

# Each line is an event. Several writers at once are no danger to each other.
echo 'order 17 filled' >>"$mnt/current"
for order in 18 19 20; do
	echo "order $order filled" >>"$mnt/current" &
done
wait

# It outlives the daemon already. After this it outlives a power cut, too.
sync "$mnt/current"
