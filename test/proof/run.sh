#!/usr/bin/env bash
# Runs the proofs, which proof.h explains, each by itself; fails if one does.
set -u
cd "$(dirname "$0")/../.." || exit
mkdir -p build/proof
# Eva recurs over what it follows.
ulimit -s unlimited
passed=0
failed=0
# Frama-C reads no intrinsics.
words=-U__SSE2__
flags="-std=c11 -D_POSIX_C_SOURCE=200809L -DHAVE_TLS=1 -I. -Itest/proof"

# judge NAME BEGAN STATUS WHAT: counts a proof and says its seconds
judge() {
	if [ "$3" -eq 0 ]; then
		passed=$((passed + 1)) verdict=proved
	else
		failed=$((failed + 1)) verdict=FAILED
	fi
	echo "$verdict $1 ($(($(date +%s) - $2)) s): $4"
}

# safe FILE FUNCTION MACHINE BOUND [OPTION...]: no alarm, and the function comes to its end
safe() {
	file=$1 function=$2 machine=$3 bound=$4
	log=build/proof/$file-$function-$machine.log
	shift 4
	began=$(date +%s)
	timeout 300 frama-c -eva -main "$function" -machdep "gcc_$machine" -eva-slevel 1000000 \
		-eva-warn-key alarm=error -eva-no-show-progress \
		-cpp-extra-args="$flags $words -DBOUND=$bound -idirafter /usr/include" "$@" \
		"test/proof/${file}_proof.c" >"$log" 2>&1 &&
		grep -q '^ *0 alarms generated' "$log" &&
		! grep -q 'NON TERMINATING' "$log" &&
		grep -q "Values at end of function $function:" "$log"
	status=$?
	[ $status -eq 0 ] || grep -A 2 -E 'eva:alarm|User Error' "$log"
	judge "$file $function $machine" "$began" $status \
		"bound $bound; $(sed -n 's/.*functions, \(.*\) reached (.*/\1 reached/p' "$log")"
}

# same FILE [SOURCE...]: compiles with these and runs main()
same() {
	file=$1
	program=build/proof/$1 said=
	shift
	began=$(date +%s)
	# shellcheck disable=SC2086
	${CC:-cc} $flags -O2 -Wall -Wextra -o "$program" "test/proof/${file}_proof.c" "$@" \
		-l:libbearssl.a && said=$(timeout 300 "$program")
	judge "$file" "$began" $? "$said"
}

# Those whose results decide what is read next are followed result by result.
by_result="-eva-split-return full"
overflow=-warn-unsigned-overflow
# Nor does a conversion lose bits.
lossless="-warn-signed-downcast -warn-unsigned-downcast"
# shellcheck disable=SC2086
{
	safe utf8 safe x86_64 9 $by_result $overflow
	safe utf8 safe x86_32 9 $by_result $overflow
	safe ws safe x86_64 26 $overflow $lossless
	safe ws safe x86_32 26 $overflow $lossless
	safe ws safe_stream x86_64 2 $by_result $overflow
	safe json safe x86_64 6 $by_result $overflow
	safe json safe_words x86_64 27
	safe json safe_words x86_32 27
	safe json safe_unescape x86_64 2 $overflow -eva-ilevel 24 \
		-eva-split-return-function encode:full,read_escape:full
	safe http safe x86_64 24 $overflow $lossless
	safe http safe_chunked x86_64 4 $by_result $overflow
	safe base64 safe x86_64 26 $overflow $lossless
	safe base64 safe_pem x86_64 8
}
same utf8
same ws text.c
same json text.c
same json $words text.c
same packet text.c json.c
same http text.c socket.c
same request text.c socket.c
same base64 text.c memory.c

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
