# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are of common.sh
# shellcheck disable=SC2010,SC2011,SC2012,SC2046,SC2164 # no name has blanks; set -e is on
# shellcheck disable=SC2094,SC2317 # reading what is written is the point; functions are called by name
#
# What the daemon says of itself: .walfs/metrics, .walfs/status, walctl status.

status_of() { jq -r "$1" "$mnt/.walfs/status"; }

# metric_of SERIES

check_metrics() {
	"$here/check-metrics" "$mnt/.walfs/metrics"
	if command -v promtool >/dev/null; then
		promtool check metrics <"$mnt/.walfs/metrics"
	fi
}

case_metrics_follow_the_rules_of_prometheus() {
	mount_log
	check_metrics
	seq 1 100000 >>"$mnt/current"
	sync -d "$mnt/current"
	rotate
	echo more >>"$mnt/current"
	attribute verify "$mnt/0000000001.wal" >/dev/null
	check_metrics
	grep -q "^walfs_build_info{store=\"$store\",version=\"[0-9.]*\"," "$mnt/.walfs/metrics"
	metric_of "walfs_log_info{log=\"$(attribute log "$mnt/current")\",framing=\"line\"}"
	local name
	for name in append block_finalize sync sync_wait rotation prepare seal; do
		[ "$(metric_of "walfs_${name}_seconds_count")" -gt 0 ] || { echo "no $name" && return 1; }
	done
	# each counter and latency of the log is there, and in both files
	status_of '.counters | keys[]' | while read -r name; do
		metric_of "walfs_${name}_total" >/dev/null || { echo "no $name" && return 1; }
	done
	status_of '.latencies | keys[]' | while read -r name; do
		metric_of "walfs_${name}_seconds_count" >/dev/null || { echo "no $name" && return 1; }
	done
}

# Each sample gets the label that all must have.
of_a_store() { sed -E 's/^(walfs_[a-z_]+)[{]/\1{store="s",/; t; s/^(walfs_[a-z_]+) /\1{store="s"} /'; }

# what is wrong, and a file that is
case_the_checker_of_metrics_finds_what_is_wrong() {
	local good=$'# HELP walfs_a_total A\n# TYPE walfs_a_total counter\n' wrong
	local histogram=$'# HELP walfs_b_seconds B\n# TYPE walfs_b_seconds histogram\n'
	local part=walfs_b_seconds
	echo "${good}walfs_a_total 1" | of_a_store | "$here/check-metrics"
	refuses 'says no store' "$here/check-metrics" < <(echo "${good}walfs_a_total 1")
	printf '%s%s_bucket{le="1"} 1\n%s_bucket{le="+Inf"} 2\n%s_sum 3\n%s_count 2\n' \
		"$histogram" $part $part $part $part | of_a_store | "$here/check-metrics"
	for wrong in \
		'walfs_a_total 1' \
		$'# TYPE walfs_a_total counter\nwalfs_a_total 1' \
		$'# HELP walfs_a_total A\nwalfs_a_total 1' \
		"${good}walfs_a_total 1"$'\n'"walfs_a_total 2" \
		"${good}walfs_a_total 1"$'\n'"${good}walfs_a_total 1" \
		"${good}walfs_a_total -1" "${good}walfs_a_total 1.5" "${good}walfs_a_total x" \
		"${good}walfs_a_total 1 1795401270" "${good}walfs_a_total{a=1} 1" \
		"${good}walfs_a_total{a=\"1\",a=\"2\"} 1" "${good}walfs_a_total{a=\"\\x\"} 1" \
		"${good}walfs_c_total 1" "$good" \
		$'# HELP walfs_a A\n# TYPE walfs_a counter\nwalfs_a 1' \
		$'# HELP walfs_a_total A\n# TYPE walfs_a_total gauge\nwalfs_a_total 1' \
		$'# HELP walfs_a_ms A\n# TYPE walfs_a_ms gauge\nwalfs_a_ms 1' \
		"$histogram${part}_bucket{le=\"+Inf\"} 2"$'\n'"${part}_sum 3"$'\n'"${part}_count 1" \
		"$histogram${part}_bucket{le=\"1\"} 2"$'\n'"${part}_sum 3"$'\n'"${part}_count 2" \
		"$histogram${part}_bucket{le=\"1\"} 2"$'\n'"${part}_bucket{le=\"+Inf\"} 1"$'\n'"${part}_sum 3"$'\n'"${part}_count 1" \
		"$histogram${part}_bucket{le=\"2\"} 1"$'\n'"${part}_bucket{le=\"1\"} 1"$'\n'"${part}_bucket{le=\"+Inf\"} 1"$'\n'"${part}_sum 3"$'\n'"${part}_count 1" \
		"$histogram${part}_bucket{le=\"+Inf\"} 1"$'\n'"${part}_count 1"; do
		refuses '^check-metrics: ' "$here/check-metrics" < <(of_a_store <<<"$wrong") ||
			{ echo "$wrong" && return 1; }
	done
}

case_counters_move_with_what_is_appended() {
	mount_log
	same before "$(status_of '.counters.events, .counters.payload_bytes' | xargs)" '0 0'
	printf 'one\ntwo\nthree\n' >>"$mnt/current"
	same "events, bytes" "$(status_of '.counters.events, .counters.payload_bytes' | xargs)" '3 14'
	same "events in metrics" "$(metric_of walfs_events_total)" 3
	same "bytes in metrics" "$(metric_of walfs_payload_bytes_total)" 14
	same "next event" "$(metric_of walfs_next_event_id)" 4
	sync -d "$mnt/current"
	same durable "$(metric_of walfs_durable_event_id)" 3
	same "answered syncs" "$(status_of .counters.sync_requests)" 1
	rotate
	same "rotations, sealed" "$(status_of '.counters.rotations, .counters.sealed_segments' | xargs)" '1 1'
	same active "$(metric_of walfs_active_segment)" 2
	same stored "$(metric_of walfs_stored_segments)" 1
	exec 3>>"$mnt/current"
	printf 'unfinished' >&3
	[ "$(metric_of walfs_held_bytes)" -gt 0 ]
	exec 3>&-
	same held "$(metric_of walfs_held_bytes)" 0
	same "part of a line" "$(status_of .counters.events)" 4
}

case_requests_are_counted_and_timed_by_kind() {
	mount_log
	local before=0 i
	exec 3>>"$mnt/current"
	for i in {1..50}; do echo "$i" >&3; done
	same writes "$(metric_of 'walfs_fuse_request_seconds_count{operation="write"}')" 50
	sync -d "$mnt/current"
	wait_until synced
	exec 3>&-
	cat "$mnt/current" >/dev/null
	wait_until timed read
	wait_until timed release
	# what a worker answers takes its time
	before=$(status_of '.operations.setxattr.count // 0')
	same "before any rotation" "$before" 0
	rotate
	wait_until timed setxattr
	[ "$(status_of .operations.setxattr.max_ns)" -gt 100000 ]
	[ "$(status_of .latencies.worker_wait.count)" -gt 0 ]
}
synced() { [ "$(metric_of 'walfs_fuse_request_seconds_count{operation="fsync"}')" = 1 ]; }
timed() { [ "$(status_of ".operations.$1.count")" -gt 0 ]; }

case_status_says_what_is_so() {
	mount_log sync=interval:500,prepare=3,rotate_age=2h,keep_bytes=3G
	echo x >>"$mnt/current"
	same log "$(status_of .log)" "$(attribute log "$mnt/current")"
	same places "$(status_of .store) $(status_of .mountpoint)" "$store $mnt"
	same pid "$(status_of .pid)" "$daemon"
	same state "$(status_of .state) $(status_of .reason) $(status_of .failed)" 'active null false'
	same segment "$(status_of .position.segment)" 1
	same "last append" "$(date -d "$(status_of .position.last_append)" +%s)" "$(stat -c %Y "$mnt/current")"
	same options "$(status_of '.options | .framing, .sync, .prepare, .rotate_age_s, .keep_bytes,
		.keep_age_s, .segment_size, .mode' | xargs)" 'line interval:500 3 7200 3221225472 0 1052672 640'
	jq -e '.version and (.uptime_s | type == "number") and .started <= .now and .space.free_bytes > 0 and
		.latencies.append.p50_ns <= .latencies.append.p99_ns and
		.latencies.append.p99_ns <= .latencies.append.max_ns' "$mnt/.walfs/status" >/dev/null
	wait_until ready 3
}
ready() { [ "$(status_of .segments.ready)" = "$1" ]; }

case_status_of_a_read_only_mount() {
	mount_log
	echo x >>"$mnt/current"
	unmount_log
	mount_log ro
	same state "$(status_of .state): $(status_of .reason), $(status_of .failed)" \
		'read-only: mounted with the option ro, false'
	same metrics "$(metric_of walfs_read_only) $(metric_of walfs_failed)" '1 0'
	check_metrics
	"$walctl" status "$mnt" >/dev/null
	unmount_log
	mkdir "$dir/empty"
	"$walfs" "$dir/empty" "$mnt" -o segment_size=1M
	fusermount3 -u "$mnt"
	rm "$dir/empty"/*.wal
	mount_log ro "$dir/empty"
	same "without segments" "$(status_of .position.segment)" 0
	check_metrics
	cat "$mnt/current"
}

case_status_keeps_the_last_complaint() {
	mount_log
	seq 1 20000 >>"$mnt/current"
	rotate
	stat "$mnt/0000000001.wal" >/dev/null
	same "none yet" "$(status_of .last_error)" null
	"$poke" flip "$store/0000000001.wal" 6000
	attribute verify "$mnt/0000000001.wal" | grep damaged
	status_of .last_error.text | grep '0000000001.wal is damaged'
	same counted "$(metric_of walfs_damaged_segments)" 1
	same "walctl's status" "$("$walctl" status "$mnt" >"$dir/said" || echo $?)" 1
	grep 'last error' "$dir/said"
}

case_ordinary_programs_read_the_reports() {
	mount_log
	echo x >>"$mnt/current"
	local file=$mnt/.walfs/metrics
	grep -q "^walfs_events_total{store=\"$store\"} 1$" "$file"
	same tail "$(tail -n 1 "$mnt/.walfs/status")" '}'
	same head "$(head -c 7 "$file")" '# HELP '
	tail -c 200 "$file" | grep operation >/dev/null
	cp "$file" "$dir/copy"
	"$here/check-metrics" "$dir/copy"
	dd if="$file" of="$dir/copied" bs=7 status=none
	"$here/check-metrics" "$dir/copied"
	[ "$(wc -c <"$file")" -gt 1000 ]
	sort "$file" | grep walfs_ >/dev/null
	awk 'END { exit NR < 100 }' "$file"
	! command -v curl >/dev/null || curl -sS "file://$file" | "$here/check-metrics"
	python3 - "$file" "$mnt/.walfs/status" <<-'PYTHON'
		import json, mmap, os, sys
		for path in sys.argv[1:]:
		    fd = os.open(path, os.O_RDONLY)
		    size = os.fstat(fd).st_size
		    data = os.read(fd, 1 << 20)
		    assert size == len(data) > 0, (path, size, len(data))
		    assert os.lseek(fd, 0, os.SEEK_END) == size
		    assert os.pread(fd, 100, size - 10) == data[-10:]
		    assert os.pread(fd, 100, size + 5) == b''
		    assert mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)[:] == data
		    os.close(fd)
		json.load(open(sys.argv[2]))
	PYTHON
}

# As node_exporter's textfile collector reads them: all into one table.
case_metrics_of_two_stores_do_not_collide() {
	mkdir "$dir/mnt2" "$dir/both"
	local other=$dir/$'a "b" \\c\nd \377'
	mount_log
	echo x >>"$mnt/current"
	"$walfs" "$other" "$dir/mnt2" -o segment_size=1M
	"$here/check-metrics" "$dir/mnt2/.walfs/metrics"
	cp "$mnt/.walfs/metrics" "$dir/both/1"
	cp "$dir/mnt2/.walfs/metrics" "$dir/both/2"
	fusermount3 -u "$dir/mnt2"
	python3 - "$dir/both/1" "$dir/both/2" <<-'PYTHON'
		import sys
		helps, series = {}, set()
		for path in sys.argv[1:]:
		    for line in open(path, encoding='utf-8').read().split('\n')[:-1]:
		        if line.startswith('#'):
		            _, kind, name, text = line.split(' ', 3)
		            assert helps.setdefault((kind, name), text) == text, line
		        else:
		            name = line.rsplit(' ', 1)[0]
		            assert name not in series, line
		            series.add(name)
		assert len(series) > 500, len(series)
	PYTHON
	# a label's quotes, backslashes and newlines are escaped; what is not UTF-8 is \xNN first
	grep -qF 'walfs_failed{store="'"$dir"'/a \"b\" \\c\\x0ad \\xff"} 0' "$dir/both/2"
}

# One that sends as many bytes as fstat() says, as web servers do.
case_a_web_server_serves_the_metrics_whole() {
	mount_log
	echo x >>"$mnt/current"
	python3 - "$mnt/.walfs" >"$dir/served" <<-'PYTHON'
		import functools, http.server, sys, threading, urllib.request
		class Handler(http.server.SimpleHTTPRequestHandler):
		    def log_message(self, *_):
		        pass
		handler = functools.partial(Handler, directory=sys.argv[1])
		server = http.server.HTTPServer(('127.0.0.1', 0), handler)
		threading.Thread(target=server.serve_forever, daemon=True).start()
		address = 'http://127.0.0.1:%d/metrics' % server.server_port
		opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
		sys.stdout.write(opener.open(address, timeout=10).read().decode())
		server.shutdown()
	PYTHON
	"$here/check-metrics" "$dir/served"
	grep -qxF "walfs_events_total{store=\"$store\"} 1" "$dir/served"
}

case_an_open_report_stays_as_it_was() {
	mount_log
	exec 3<"$mnt/.walfs/status"
	seq 1 1000 >>"$mnt/current"
	exec 4<"$mnt/.walfs/status"
	same "the later one" "$(jq .counters.events <&4)" 1000
	same "the earlier one" "$(jq .counters.events <&3)" 0
	[ "$(stat -L -c %s /proc/self/fd/3)" != "$(stat -L -c %s /proc/self/fd/4)" ]
	exec 3<&- 4<&-
}

case_reports_cannot_be_changed() {
	mount_log
	cd "$mnt"
	local denied=EPERM name
	[ "$(id -u)" -eq 0 ] || denied=EACCES
	same modes "$(stat -c '%a %h' .walfs .walfs/metrics .walfs/status | xargs)" '550 2 440 1 440 1'
	same names "$(ls -A .walfs | xargs)" 'active.wal metrics status'
	same root "$(ls -A | xargs)" '.walfs current events'
	same inodes "$(stat -c %i .walfs/metrics)" "$(ls -i .walfs | awk '$2 == "metrics" { print $1 }')"
	same "stable inodes" "$(stat -c %i .walfs/status)" "$(stat -c %i .walfs/status)"
	for name in .walfs/metrics .walfs/status; do
		gives ok open "$name" rdonly
		gives "$denied" open "$name" wronly
		gives "$denied" open "$name" rdwr
		gives "$denied" open "$name" wronly,append
		gives "$denied" open "$name" wronly,trunc
		gives "$denied" truncate "$name" 0
		gives EPERM chmod "$name" 640
		gives EPERM chown "$name" 12345 12345
		gives EPERM utimes "$name" now
		gives "$denied" unlink "$name"
		gives "$denied" rename "$name" other
		gives "$denied" link "$name" other
		gives "$denied" setxattr "$name" user.wal.rotate
		gives EPERM setflags "$name"
		gives i getflags "$name"
		gives ok fsync "$name"
		gives ENODATA getxattr "$name" user.wal.state 100
		gives ENODEV mmap "$name"
	done
	gives i getflags .walfs
	gives "$denied" rmdir .walfs
	gives "$denied" mkdir .walfs/new
	gives ENOENT open .walfs/new rdonly
	gives ENOENT open .walfs/0000000001.wal rdonly
	gives ENOENT open .walfs/current rdonly
	gives ENOENT open metrics rdonly
	gives ENOENT open events/status rdonly
	same attributes "$(getfattr -d .walfs/status .walfs)" ''
	cd /
}

case_reports_are_whole_while_writers_write_and_readers_are_killed() {
	mount_log segment_size=256K,keep_segments=3
	local w i
	for w in 1 2 3; do
		"$poke" storm "$mnt/current" "w$w" "$dir/acked.$w" &
		remember $!
	done
	for i in {1..40}; do
		"$here/check-metrics" "$mnt/.walfs/metrics" >/dev/null
		jq -e '.counters.events >= 0' "$mnt/.walfs/status" >/dev/null
		timeout -s KILL 0.003 cat "$mnt/.walfs/metrics" "$mnt/.walfs/status" >/dev/null 2>&1 || true
	done
	kill $(remembered 3) 2>/dev/null || true
	wait $(remembered 3) 2>/dev/null || true
	same state "$(status_of .state)" active
}

# --- walctl status -------------------------------------------------------------------

case_walctl_status_finds_a_mount_by_any_name() {
	mount_log
	seq 1 1234 >>"$mnt/current"
	"$walctl" status "$mnt" >"$dir/said"
	grep -E '^  state +active$' "$dir/said"
	grep -E '^  appended +1,234 events' "$dir/said"
	grep -E "^  by +walfs [0-9.]+, pid $daemon$" "$dir/said"
	grep -E '^  write +[0-9]' "$dir/said"
	ln -s "$store" "$dir/link"
	local path
	for path in "$mnt" "$mnt/" "$store" "$store/" "$dir/link" "$mnt/.walfs/status"; do
		same "$path" "$("$walctl" status --json "$path" | jq '.counters.events, .pid' | xargs)" "1234 $daemon"
	done
	cp "$mnt/.walfs/status" "$dir/copy"
	same "a copy" "$("$walctl" status --json "$dir/copy" | jq .counters.events)" 1234
	same "two" "$("$walctl" status --json "$mnt" "$store" | wc -l)" 2
}

# says EXIT_STATUS PATTERN ARGUMENTS OF WALCTL...
says() {
	local expected=$1 pattern=$2 status=0
	shift 2
	"$walctl" "$@" >"$dir/said" 2>&1 || status=$?
	same "exit status of walctl $*" "$status" "$expected"
	grep -qE -e "$pattern" "$dir/said" || { cat "$dir/said" && return 1; }
}

case_walctl_status_says_what_it_could_not_find() {
	mount_log
	echo x >>"$mnt/current"
	says 2 'not what a walfs says' status "$mnt/current"
	unmount_log
	says 2 "not mounted; 'walctl info'" status "$store"
	says 2 'neither the mount of a walfs nor a store' status "$mnt"
	says 2 'No such file' status "$dir/nowhere"
	says 2 'no path given' status
	says 2 'is not an option here' status --all "$store"
	mount_log
	kill_log
	says 2 'the walfs of this mount is gone' status "$mnt"
	fusermount3 -uz "$mnt"
	# held, and not mounted here
	flock --no-fork "$store" sleep 60 & # the holder, until it is ended
	remember $!
	wait_until held_by_flock
	kill "$(remembered 1)"
}
held_by_flock() { says 2 'held by .*cannot be seen from here' status "$store"; }

case_root_status_says_that_there_is_no_space_and_when_there_is_again() {
	full_disk
	mount_log segment_size=4M
	head -c 10M /dev/zero >"$dir/full/ballast"
	seq 1 5000000 >>"$mnt/current" 2>/dev/null && return 1
	same state "$(status_of .state): $(status_of .reason)" 'no space: No space left on device'
	same metrics "$(metric_of walfs_no_space) $(metric_of walfs_read_only)" '1 0'
	[ "$(metric_of walfs_append_errors_total)" -gt 0 ]
	check_metrics
	says 1 'state +no space' status "$mnt"
	rm "$dir/full/ballast"
	echo again >>"$mnt/current"
	wait_until active_again
	unmount_log
	umount "$dir/full"
}
active_again() { [ "$(status_of .state)" = active ]; }
