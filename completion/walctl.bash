# SPDX-License-Identifier: MIT
#
# Completion for walctl in bash. It asks walctl itself which commands and options there are.
# shellcheck shell=bash

# _walctl_options WALCTL COMMAND: "--option" or "--option ARGUMENT", one a line.
_walctl_options() {
	"$1" help "$2" 2>/dev/null | awk '/^  -/ {
		sub(/^  /, ""); sub(/  .*/, ""); count = split($0, name, /, /)
		argument = ""
		if (match(name[count], /[ =]/)) argument = " " substr(name[count], RSTART + 1)
		for (i = 1; i <= count; i++) { sub(/[ =].*/, "", name[i]); print name[i] argument }
	}'
}

_walctl() {
	local walctl=$1 word=$2 before=$3 command=${COMP_WORDS[1]} commands option argument
	local words=()
	COMPREPLY=()

	if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "$command" = help ]; }; then
		compopt +o default
		commands=$("$walctl" help 2>/dev/null |
			awk '/^[a-z]/ { on = /^commands:/ } on && /^  [a-z]/ { print $1 }')
		[ "$COMP_CWORD" -ne 1 ] || commands+=' help --help --version'
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
		return
	fi
	while read -r option argument; do
		words+=("$option")
		if [ "$option" != "$before" ] || [ -z "$argument" ]; then continue; fi
		case $argument in
		*\|*) mapfile -t COMPREPLY < <(compgen -W "${argument//|/ }" -- "$word") ;;
		FILE* | DIR* | STORE* | PATH* | KEY*) return ;; # a file's name
		esac
		compopt +o default
		return
	done < <(_walctl_options "$walctl" "$command")
	[[ $word == -* ]] || return
	mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$word")
}

complete -o default -F _walctl walctl
