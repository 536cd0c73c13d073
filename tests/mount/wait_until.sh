# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# How tests and scripts wait for something to happen. To be sourced.

# wait_until COMMAND...: until it succeeds. Machines are loaded: the bound, in seconds, is for
# what never comes; then it says what was waited for, and what COMMAND says of that.
wait_until() {
	local seconds=${wait_seconds:-60} end
	end=$((SECONDS + seconds))
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -gt "$end" ]; then
			echo "waited for $seconds seconds, and it did not come: $*"
			"$@" || true
			return 1
		fi
		sleep 0.02 # the poll interval
	done
}
