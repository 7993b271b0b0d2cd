#!/bin/sh
# The fuzz targets, built in build/fuzz: run.sh replay TARGET...   all committed inputs once
#                                        run.sh fuzz SECONDS TARGET...   and new ones
# What is found goes into test/fuzz/crashes/TARGET/ once it is mended, under a name that says what
# it was; test/fuzz/corpus/TARGET/ holds what the fuzzing begins with.
set -u
cd "$(dirname "$0")/../.." || exit
options='-timeout=5 -rss_limit_mb=1024'

# replay TARGET FILE...: counts; what fails is run again alone, to be told from the others
replay() {
	target=$1
	shift
	# shellcheck disable=SC2086
	if build/fuzz/"$target"_fuzz $options -artifact_prefix=build/fuzz/ "$@" >build/fuzz/"$target".log 2>&1; then
		passed=$((passed + $#))
	elif [ $# -gt 1 ]; then
		for input; do
			replay "$target" "$input"
		done
	else
		failed=$((failed + 1))
		cat build/fuzz/"$target".log
		echo "failed: build/fuzz/${target}_fuzz $1"
	fi
}

case $1 in
replay)
	shift
	passed=0 failed=0
	for target; do
		replay "$target" test/fuzz/*/"$target"/*
	done
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	;;
fuzz)
	seconds=$2
	shift 2
	for target; do
		mkdir -p build/fuzz/corpus/"$target"
		# shellcheck disable=SC2086
		if ! build/fuzz/"$target"_fuzz $options -max_total_time="$seconds" -print_final_stats=1 \
			-artifact_prefix=build/fuzz/"$target"- \
			build/fuzz/corpus/"$target" test/fuzz/*/"$target" >build/fuzz/"$target".log 2>&1; then
			tail -n 60 build/fuzz/"$target".log
			echo "failed: $target"
			exit 1
		fi
		echo "$target: $(grep -a DONE build/fuzz/"$target".log)"
	done
	;;
esac
