#!/usr/bin/env zsh
# SPDX-License-Identifier: MIT
#
# usage: offered.zsh LINE...: prints each line, a tab, and the words that zsh lists after it,
# from completion/. Only a terminal has completion, so there is one for another zsh.

setopt extendedglob
zmodload zsh/zpty || exit
export TERM=dumb
zpty line zsh -f -i
zpty -w line 'fpath=($PWD/completion $fpath); autoload -Uz compinit; compinit -D -u'
zpty -w line 'unsetopt zle_bracketed_paste; LISTMAX=0; setopt no_auto_menu no_always_last_prompt'
zpty -w line "zstyle ':completion:*' verbose no; stty cols 60 rows 1000"
# What shows that it has done what was typed, without an end of the line.
zpty -w line 'finish() { print "=""==" }; zle -N finish; bindkey "^X" finish'
zpty -w line 'PS1="rea""dy"'
zpty -r line said '*ready*' || exit
for text; do
	zpty -n -w line "$text"$'\C-d\C-u\C-x'
	zpty -r line said '*===*' || exit
	print -r -- "$text"$'\t'"${${(f)said}//[[:space:]]##/ }"
done
