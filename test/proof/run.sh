#!/usr/bin/env bash
# Runs the proofs, which proof.h explains, as many at once as there are processors, and
# fails if one does; or the one that is given, as `run.sh prove utf8 ascii x86_64 27 28`.
set -u
cd "$(dirname "$0")/../.." || exit

flags="-D_POSIX_C_SOURCE=200809L -DHAVE_TLS=1 -I. -Itest/proof"
# What one proof may take, in seconds; the longest takes 80.
limit=600

# judge NAME BEGAN STATUS WHAT: says how a proof ended, and its seconds
judge() {
	[ "$3" -eq 0 ] && verdict=proved || verdict=FAILED
	echo "$verdict $1 ($(($(date +%s) - $2)) s): $4"
	return "$3"
}

# The prover; if it is not installed, with the libraries that deps.sh has fetched for it.
triplet=$(gcc -print-multiarch)
prover=(cbmc)
if ! command -v cbmc >/dev/null; then
	fetched=$(echo toolchain/cbmc/*/usr)
	libraries=$fetched/lib/$triplet
	prover=("$libraries"/ld-linux-* --library-path "$libraries:$fetched/lib" "$fetched/bin/cbmc")
fi

# cbmc_on ARCH LOG ARGUMENT...
cbmc_on() {
	# shellcheck disable=SC2086
	CPATH=/usr/include/$triplet timeout $limit "${prover[@]}" --arch "$1" --c11 $flags -Ibuild/proof/include \
		--drop-unused-functions --object-bits 12 "${@:3}" >"$2" 2>&1
}

# prove FILE FUNCTION ARCH BOUND TURNS [OPTION...]: no input within the bound with which a
# claim of the function does not hold, an access leaves its object, a number overflows or
# loses bits, or a loop takes more turns; and some input with each result that is said to be
# reached
prove() {
	local file=$1 function=$2 arch=$3 bound=$4 turns=$5 log began status
	shift 5
	log=build/proof/$file-$function-$arch
	began=$(date +%s)
	set -- --function "$function" "test/proof/${file}_proof.c" -DBOUND="$bound" --unwind "$turns" "$@"
	cbmc_on "$arch" "$log.log" --unsigned-overflow-check --conversion-check --pointer-overflow-check "$@" &&
		cbmc_on "$arch" "$log.reached" --cover cover -DREACHED "$@" &&
		grep -q '(100.0%)' "$log.reached"
	status=$?
	[ $status -eq 0 ] || grep -hE 'FAIL|error|ERROR' "$log".*
	judge "$file $function $arch" "$began" $status \
		"bound $bound; $(sed -n 's/^\*\* 0 of \(.*\) failed.*/\1 checks/p' "$log.log")"
}

# same FILE [SOURCE...]: compiles with these and runs main()
same() {
	local file=$1 program said='' began
	program=build/proof/$1
	shift
	began=$(date +%s)
	# shellcheck disable=SC2086
	${CC:-cc} -std=c11 $flags -O2 -Wall -Wextra -o "$program" "test/proof/${file}_proof.c" "$@" \
		-l:libbearssl.a && said=$(timeout $limit "$program")
	judge "$file" "$began" $? "$said"
}

# For other processors CBMC has gcc read this one's headers, which name a file for each.
mkdir -p build/proof/include/gnu
touch build/proof/include/gnu/stubs-32.h
case ${1-} in
prove | same)
	"$@"
	exit
	;;
esac
proofs='
	prove utf8 ascii x86_64 27 28
	prove utf8 ascii powerpc 27 28
	prove utf8 pieces i386 6 11 --unwindset utf8_check.0:9,ascii_run.0:2,ascii_run.1:8
	prove utf8 pieces powerpc 6 11 --unwindset utf8_check.0:9,ascii_run.0:2,ascii_run.1:8
	prove ws header x86_64 15 16
	prove ws header i386 15 16
	prove ws header powerpc 15 16
	prove ws encoded x86_64 1 11
	prove ws encoded powerpc 1 11
	prove ws codes x86_64 1 1
	prove ws unmask x86_64 35 36
	prove ws unmask powerpc 35 36
	prove ws begin i386 6 10 --unwindset expect.0:9
	prove ws next i386 6 9 --unwindset ws_next.0:2,expect.0:9,ws_header.0:9,utf8_check.0:7,move_bytes.0:7
	prove ws piece i386 6 9 --unwindset expect.0:9
	same ws text.c
	prove json runs arm64 27 28 -DBORROWS
	prove json runs powerpc 27 28 -DBORROWS -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__
	prove json strings arm64 7 9 --unwindset plain_run.0:1,skip_string.0:4,skip_string.1:3,skip_escape.0:5
	prove json numbers i386 10 12
	prove json texts i386 4 6 -DOUTCOMES --sat-solver cadical --unwindset skip_literal.0:5,skip_value.0:4
	prove json items arm64 6 8 --unwindset plain_run.0:1
	prove json unescape arm 2 13 --sat-solver cadical --unwindset json_unescape.0:3
	prove json escape arm 2 13 -DBORROWS --unwindset plain_run.0:1,json_escape.0:3,json_unescape.0:5
	same json
	prove packet splice i386 4 13
	same packet text.c json.c
	prove http heads x86_64 16 18 --slice-formula
	prove http fronts powerpc 16 18
	prove http bodies x86_64 6 7 --slice-formula --unwindset strchr.0:17,http_dechunk.0:8,expect_body.0:5,expect_body.1:3,expect_body.2:3,expect_extensions.0:4
	prove http states i386 8 10 --slice-formula --unwindset strchr.0:17
	same http text.c socket.c
	prove request targets x86_64 16 18 --slice-formula --unwindset strchr.0:21,strlen.0:31,is_one_of.0:20
	prove request targets powerpc 11 13 --slice-formula --unwindset strchr.0:21,strlen.0:31,is_one_of.0:20
	prove request versions i386 9 12 --slice-formula --unwindset strchr.0:21,strlen.0:31,is_one_of.0:20
	prove request lines x86_64 8 9 --slice-formula --unwindset memchr.0:13,strchr.0:21,strlen.0:31,is_one_of.0:20,parse_fields.0:3,memcmp.0:6,has_token.0:1
	prove request tenths x86_64 1 1
	prove request lengths x86_64 6 7 --unwindset strlen.0:15,span_is_nocase.0:15
	prove request long_lengths i386 5 21 --unwindset strlen.0:15,span_is_nocase.0:15
	prove request hops x86_64 8 9 --slice-formula --unwindset memchr.0:9
	prove request escapes powerpc 9 10 --slice-formula
	prove request tags x86_64 6 7 --slice-formula
	same request text.c socket.c
	prove base64 encode x86_64 20 8
	prove base64 key x86_64 26 66
	prove base64 decode x86_64 9 65 --unwindset expect.0:10,base64_decode.0:10,memchr.0:5
	prove base64 in_place x86_64 9 65 --unwindset expect.0:10,base64_decode.0:10,memchr.0:5
	prove base64 decode_url x86_64 12 65 --unwindset expect_url.0:13,base64_decode.0:13
	prove base64 round_trip x86_64 11 5 --unwindset base64_decode.0:12
	prove token times x86_64 4 6
	prove token claims x86_64 2 9 --unwindset any_finish.0:8,read_object.0:5,read_object.1:5 --slice-formula
	prove token header x86_64 1 9 --unwindset any_finish.0:8,read_object.0:4,read_object.1:5 --slice-formula
	prove token checks x86_64 4 9
'
list() {
	grep . <<<"$proofs"
}
list | xargs -P "$(nproc)" -I {} sh -c "$0 {}" | tee build/proof/results
passed=$(grep -c ^proved build/proof/results)
failed=$(($(list | wc -l) - passed))
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
