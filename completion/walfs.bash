# SPDX-License-Identifier: MIT
#
# Completion for walfs in bash. It asks walfs itself which options there are.
# shellcheck shell=bash

# _walfs_options WALFS: "-f", "ro", "uid USER", "io auto|mmap|pwrite", one a line.
_walfs_options() {
	"$1" --help 2>/dev/null | awk '
		/^[^ ]/ { on = /:$/ && (on || /^Options:/) }
		on && /^  [-a-z]/ {
			sub(/^  /, ""); sub(/  .*/, ""); count = split($0, name, /, /)
			for (i = 1; i <= count; i++) { sub(/=/, " ", name[i]); print name[i] }
		}'
}

# _walfs_mount_options WALFS WORD: what may stand in WORD, which follows -o.
_walfs_mount_options() {
	local name values given=, value word=${2##*,}
	[[ $2 != *,* ]] || given=${2%,*},
	while read -r name values; do
		if [[ $name == -* || ,$given == *,"$name"[,=]* && $values != *\|* ]]; then
			continue
		elif [ -z "$values" ]; then
			echo "$name"
		elif [[ $word != "$name="* ]]; then
			echo "$name="
		elif [ "$values" = USER ]; then
			compgen -u -P "$name="
		elif [ "$values" = GROUP ]; then
			compgen -g -P "$name="
		else
			for value in ${values//|/ }; do
				value=${value%%\[*}
				while [[ $value == *[A-Z] ]]; do value=${value%[A-Z]}; done
				[ -z "$value" ] || echo "$name=$value"
			done
		fi
	done < <(_walfs_options "$1") | sed "s|^|${given#,}|"
}

_walfs() {
	local walfs=$1 word=${COMP_LINE:0:COMP_POINT} before
	COMPREPLY=()
	# bash breaks words at = and :, too.
	before=${word%[[:space:]]*}
	word=${word##*[[:space:]]}
	if [[ $before =~ [[:space:]]-o[[:space:]]*$ ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_walfs_mount_options "$walfs" "$word")" -- "$word")
		compopt +o default
		[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *[=:] ]] || compopt -o nospace
		COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*[=:]}"}"}")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "-o $(_walfs_options "$walfs" | grep ^-)" -- "$word")
	fi
}

complete -o default -F _walfs walfs
