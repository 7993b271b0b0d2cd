#!/bin/sh
# ./install.sh [NAME or ADDRESS of this device]... installs this version and starts it.  An existing
# configuration and certificate stay.  ./install.sh uninstall removes everything, these too.
set -eu; umask 022; cd "$(dirname "$0")"
program=/usr/sbin/videre pem=/etc/videre conf=/etc/videre.json json=/etc/videre.json from=conf.json log=syslog
if [ -e /etc/rc.common ]; then # OpenWrt
	init=videre.init at=/etc/init.d/videre start="$at enable; $at start" stop="$at disable; $at stop; ! pidof videre >/dev/null || sleep 2"
	conf=/etc/config/videre json=/var/etc/videre.json from=videre.config
elif [ -d /run/systemd/system ]; then
	init=videre.service at=/etc/systemd/system/videre.service log=-
	start="systemctl daemon-reload; systemctl -q enable --now videre" stop="systemctl -q disable --now videre"
elif grep -qs 'S??' /etc/init.d/rcS; then # Buildroot
	init=S50videre at=/etc/init.d/S50videre start="$at start" stop="$at stop"
elif grep -qs '^::' /etc/inittab; then # busybox init
	init=inittab at=/etc/inittab start="sed -i '1i $(grep ^: inittab)' $at; kill -HUP 1"
	stop="sed -i '\|^::respawn:$program |d' $at; kill -HUP 1; ! killall -q videre || sleep 1"
else echo "install.sh: unknown init: start $program -c $conf yourself" >&2; exit 1; fi
if [ "${1-}" = uninstall ]; then
	[ ! -e $program ] || eval "$stop"
	[ $init = inittab ] || rm -f $at
	rm -rf $program $conf $json $pem
	userdel videre 2>/dev/null || sed -i '/^videre:/d' /etc/passwd /etc/group; exit
fi
grep -q ^videre: /etc/passwd || useradd -rUs /bin/false videre 2>/dev/null || {
	id=999; while grep -q ":$id:" /etc/passwd /etc/group; do id=$((id - 1)); done
	echo "videre:*:$id:$id::/:/bin/false" >>/etc/passwd; echo "videre:x:$id:" >>/etc/group; }
if [ ! -e $conf ]; then
	if [ ! -s $pem/cert.pem ] || [ ! -s $pem/key.pem ]; then # the power may have failed between the two
		mkdir -p $pem; rm -f $pem/cert.pem $pem/key.pem
		./videre -k $pem/cert.pem $pem/key.pem "$@" >$pem/names
		chgrp videre $pem/key.pem; chmod 640 $pem/key.pem
	fi
	sed -e "s/syslog\"/$log\"/; 1s|{|{\n\t\"TLS\": true, \"Cert\": \"$pem/cert.pem\", \"Key\": \"$pem/key.pem\",|" \
		-e "/option tls /s/#//; /\(cert\|key\).pem'/s/#//" $from >$conf.new; mv $conf.new $conf
fi
[ ! -e $json ] || ./videre -n -c $json >/dev/null # what this version refuses stops nothing
[ ! -e $program ] || eval "$stop"
cp videre $program.new; mv $program.new $program; [ $init = inittab ] || cp $init $at; eval "$start"
port=$(sed -n "s/.*[Pp]ort[\"': ]*\([0-9][0-9]*\).*/\1/p" $conf)
[ ! -e $pem/names ] || sed "1s/names: \([^ ]*\).*/https:\/\/\1:${port:-1111}\//" $pem/names
