/* What init scripts call of OpenWrt's /lib/functions.sh, as functions that read the files of UCI below $ROOT/etc/config. */
export const UCI = `
config_load() { . "$ROOT/etc/config/$1"; }
config() { SECTION=$2; }
option() { eval "CONFIG_\${SECTION}_$1=\\$2"; }
list() {
	eval "length=\\$((\\\${CONFIG_\${SECTION}_$1_LENGTH:-0} + 1))"
	eval "CONFIG_\${SECTION}_$1_ITEM$length=\\$2 CONFIG_\${SECTION}_$1_LENGTH=$length"
}
config_get() { eval "$1=\\\${CONFIG_$2_$3:-\\$4}"; }
config_list_foreach() {
	config_get length "$1" "$2_LENGTH" 0
	i=1
	while [ "$i" -le "$length" ]; do
		config_get item "$1" "$2_ITEM$i"
		"$3" "$item"
		i=$((i + 1))
	done
}
`;
