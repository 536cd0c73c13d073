# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
#
# The scripts of examples/, as they stand.

case_the_example_appends_and_the_copy_of_the_other_verifies() {
	mount_log
	"$examples/append.sh" "$mnt"
	same lines "$(sort "$mnt/current" | tr '\n' ,)" \
		'order 17 filled,order 18 filled,order 19 filled,order 20 filled,'
	same durable "$(attribute durable_event "$mnt/current")" 4
	PATH=$build:$PATH "$examples/verify.sh" "$mnt" "$dir/copies"
	echo 'order 21 filled' >>"$mnt/current"
	PATH=$build:$PATH "$examples/verify.sh" "$mnt" "$dir/copies"
	cmp "$dir/copies/0000000001.wal" "$mnt/0000000001.wal"
	same events "$("$walctl" cat "$dir/copies"/*.wal | wc -l)" 5
	chmod u+w "$dir/copies/0000000001.wal"
	printf x | dd of="$dir/copies/0000000001.wal" bs=1 seek=4200 conv=notrunc status=none
	PATH=$build:$PATH fails "$examples/verify.sh" "$mnt" "$dir/copies"
	unmount_log
}

case_the_examples_refuse_a_directory_without_a_mount() {
	fails "$examples/append.sh" "$mnt" 2>&1 | grep -q "^append.sh: no log is mounted on $mnt"
	fails "$examples/verify.sh" "$mnt" "$dir/copies" 2>&1 |
		grep -q "^verify.sh: no log is mounted on $mnt"
	[ ! -e "$mnt/current" ]
	[ ! -e "$dir/copies" ]
}
