#!/bin/sh
# strip.sh TOOLS IN OUT: removes all of a program that no kernel reads: symbols, and the section headers
# with their names, 0.5 to 1.5 KB (GNU strip can do that from version 2.41 on).  TOOLS begins the names
# of binutils.
set -eu
"$1-strip" -s -R .comment -R .ARM.attributes -R .gnu.attributes -o "$3" "$2"

# The end of what is loaded.
end=0
for piece in $("$1-readelf" -lW "$3" | sed -n 's/^ *LOAD *\(0x[0-9a-f]*\) [^ ]* [^ ]* \(0x[0-9a-f]*\) .*/\1+\2/p'); do
	[ $(($piece)) -le $end ] || end=$(($piece))
done
[ $end -gt 0 ]
truncate -s $end "$3"

# In the ELF header: the offset of the section headers, their number, and the index of their names.
case $("$1-readelf" -h "$3" 2>/dev/null) in
*ELF32*) fields='32:4 48:4' ;;
*) fields='40:8 60:4' ;;
esac
for field in $fields; do
	dd if=/dev/zero of="$3" bs=1 seek="${field%:*}" count="${field#*:}" conv=notrunc status=none
done
