#!/usr/bin/env bash
# Installs what the tests need and the machine lacks: redis-server, postgresql, the aws CLI, node and npm, oathtool, zbarimg, xmlsec1, openssl,
# PHP, Chromium, shellcheck, haproxy and systemd-analyze as Debian packages; SimpleSAMLphp and promtool, unpacked into the user's cache.
# Without root it says what to install; the tests that need it then skip, and with CI=true they fail.
set -euo pipefail

missing=()
command -v redis-server >/dev/null 2>&1 || missing+=(redis-server)
command -v initdb >/dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
aws --version >/dev/null 2>&1 || missing+=(awscli)
command -v node >/dev/null 2>&1 || missing+=(nodejs)
command -v npm >/dev/null 2>&1 || missing+=(npm)
command -v oathtool >/dev/null 2>&1 || missing+=(oathtool)
command -v zbarimg >/dev/null 2>&1 || missing+=(zbar-tools)
command -v xmlsec1 >/dev/null 2>&1 || missing+=(xmlsec1)
command -v openssl >/dev/null 2>&1 || missing+=(openssl)
command -v chromium >/dev/null 2>&1 || missing+=(chromium)
php -r 'exit(extension_loaded("dom") && extension_loaded("mbstring") && extension_loaded("curl") ? 0 : 1);' >/dev/null 2>&1 ||
	missing+=(php-cli php-xml php-mbstring php-curl)

command -v shellcheck >/dev/null 2>&1 || missing+=(shellcheck)
command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
command -v systemd-analyze >/dev/null 2>&1 || missing+=(systemd)

# SimpleSAMLphp as a package would bring a web server along; its files are all that is needed.
# The package of Prometheus would start a server; promtool is all that is needed.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/stint-test"
wanted=()
[ -e "$cache/simplesamlphp/usr/share/simplesamlphp/www/index.php" ] || wanted+=(simplesamlphp)
[ -x "$cache/prometheus/usr/bin/promtool" ] || wanted+=(prometheus)
[ "${#missing[@]}" -eq 0 ] && [ "${#wanted[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ]; then
	sudo=()
elif sudo -n true 2>/dev/null; then
	sudo=(sudo -n)
else
	echo "the tests want: ${missing[*]} ${wanted[*]} (as root: $0)" >&2
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "the tests want: ${missing[*]} ${wanted[*]}; this machine has no apt-get" >&2
	exit 0
fi
"${sudo[@]}" apt-get update -qq
for package in "${wanted[@]}"; do
	echo "unpacking $package" >&2
	work=$(mktemp -d)
	(cd "$work" && apt-get download -qq "$package" 2>/dev/null && dpkg-deb -x "$package"_*.deb root)
	mkdir -p "$cache"
	rm -rf "${cache:?}/$package"
	mv "$work/root" "$cache/$package"
	rm -rf "$work"
done
[ "${#missing[@]}" -eq 0 ] && exit 0

echo "installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# The packages must not start services of their own: the tests start theirs on free ports.
policy=/usr/sbin/policy-rc.d
made_policy=false
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
	"${sudo[@]}" chmod 755 "$policy"
	made_policy=true
fi
trap '$made_policy && "${sudo[@]}" rm -f "$policy"' EXIT
if [[ " ${missing[*]} " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	"${sudo[@]}" mkdir -p /etc/postgresql-common
	echo 'create_main_cluster = false' | "${sudo[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
